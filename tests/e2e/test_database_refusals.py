"""A database that refuses until somebody acts: the daemon stays up, says what to do, and heals."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from penstock.settings.secret import Secret
from penstock.storage.migrate import migrate
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.database import as_role
from tests.support.publishing import publish, rows_of

STORED = "select count(*) from telemetry"
FAULTS = {
    "permission": ("revoke insert on readings from {role}", "grant insert on readings to {role}"),
    "schema": (
        "alter table readings rename to elsewhere",
        "alter table elsewhere rename to readings",
    ),
}
"""By what the metric calls them: how they come, and how they are mended."""
AHEAD = "insert into schema_migrations values (9999, '9999_of_tomorrow.sql', '')"
NOT_AHEAD = "delete from schema_migrations where version = 9999"


def run(dsn: str, sql: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(execute())


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """A role that may do what the daemon does, and owns nothing."""
    asyncio.run(migrate(Secret(database)))
    name = f"penstock_role_{secrets.token_hex(6)}"
    run(
        database,
        f"""
        create role {name} login password '{name}';
        grant select, insert, update, delete on all tables in schema public to {name}
        """,
    )
    yield name
    run(database, f"drop owned by {name}; drop role {name}")


def make_daemon(
    folder: Path, mqtt_url: str, dsn: str, prefix: str, *, spool: bool, migrate: bool = True
) -> DaemonProcess:
    return DaemonProcess(
        folder,
        mqtt_url=mqtt_url,
        dsn=dsn,
        routes=[{"topic": f"{prefix}/{{tenant}}/{{device}}/telemetry"}],
        settings={
            "storage": {"retry_max_seconds": 0.3, "migrate_on_start": migrate},
            "spool": {"path": str(folder / "spool.db") if spool else None, "after_seconds": 0.5},
            "log": {"format": "json"},
        },
    )


def publish_some(mqtt_url: str, prefix: str, first: int) -> None:
    publish(
        mqtt_url,
        [
            (f"{prefix}/t/d/telemetry", f'{{"metrics": {{"m": {n}}}}}')
            for n in range(first, first + 100)
        ],
    )


def refusals_told(daemon: DaemonProcess) -> list[str]:
    return [event["reason"] for event in daemon.events("database_refuses")]


@pytest.mark.parametrize("spool", [False, True], ids=["no spool", "spool"])
@pytest.mark.parametrize("cause", FAULTS)
def test_what_is_refused_is_kept_and_told_and_heals_without_a_restart(
    tmp_path: Path, mqtt_url: str, database: str, role: str, topic_prefix: str, cause: str,
    *, spool: bool,
) -> None:  # fmt: skip
    fault, remedy = (sql.format(role=role) for sql in FAULTS[cause])
    advice = {"permission": "grant it", "schema": "run `penstock migrate`"}[cause]
    with make_daemon(
        tmp_path, mqtt_url, as_role(database, role), topic_prefix, spool=spool
    ) as daemon:
        publish_some(mqtt_url, topic_prefix, 0)
        wait_until(lambda: daemon.metric("penstock_readings_stored_total") == 100, "stored")
        run(database, fault)
        publish_some(mqtt_url, topic_prefix, 100)

        held = "penstock_readings_spooled" if spool else "penstock_mqtt_unacknowledged_messages"
        wait_until(lambda: daemon.metric(held) == 100, "kept")
        # Several attempts, with signs of life in between.
        refusals = "penstock_database_refusals_total"
        wait_until(lambda: daemon.metric(refusals, cause=cause) >= 10, "tried again and again")
        status, health = daemon.get("/health")
        assert (status, health["db"]) == (503, "disconnected")
        assert any(advice in reason for reason in health["reasons"]), health["reasons"]
        assert daemon.metric("penstock_database_connected") == 0
        assert len(refusals_told(daemon)) == 1
        assert daemon.events("database_refuses")[0]["level"] == "error"
        assert advice in refusals_told(daemon)[0]

        run(database, remedy)
        wait_until(lambda: rows_of(database, STORED) == [(200,)], "all stored")
        wait_until(lambda: daemon.get("/health")[0] == 200, "health says that all is well")
        assert daemon.metric("penstock_database_connected") == 1
        assert daemon.metric("penstock_readings_imbalance") == 0
        assert daemon.metric("penstock_dead_letters_total") == 0


def test_who_may_not_log_in_at_the_start_is_told_once(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    stranger = as_role(database, "nobody_knows")
    daemon = make_daemon(tmp_path, mqtt_url, stranger, topic_prefix, spool=False)
    daemon.start(ready=False)
    try:
        # The schema is asked for, and signs of life are, each over and over.
        refusals = "penstock_database_refusals_total"
        wait_until(lambda: daemon.metric(refusals, cause="login") >= 15, "tried again and again")
        assert len(refusals_told(daemon)) == 1
    finally:
        daemon.kill()


@pytest.mark.parametrize("spool", [False, True], ids=["no spool", "spool"])
@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "ahead"])
def test_a_schema_of_another_version_is_waited_for(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str, *, ahead: bool, spool: bool
) -> None:
    if ahead:
        asyncio.run(migrate(Secret(database)))
        run(database, AHEAD)
    advice = "newer than this Penstock" if ahead else "run `penstock migrate`"
    daemon = make_daemon(tmp_path, mqtt_url, database, topic_prefix, spool=spool, migrate=ahead)
    daemon.start(ready=False)
    try:
        wait_until(lambda: bool(daemon.events("database_refuses")), "told")
        if spool:
            wait_until(lambda: daemon.metric("penstock_mqtt_connected") == 1, "subscribed")
            publish_some(mqtt_url, topic_prefix, 0)
            wait_until(lambda: daemon.metric("penstock_readings_spooled") == 100, "spooled")
        refusals = "penstock_database_refusals_total"
        wait_until(lambda: daemon.metric(refusals, cause="schema") >= 5, "looked at again")
        status, health = daemon.get("/health")
        assert (status, health["db"]) == (503, "disconnected")
        assert any(advice in reason for reason in health["reasons"]), health["reasons"]
        assert len(refusals_told(daemon)) == 1
        assert advice in refusals_told(daemon)[0]

        if ahead:
            run(database, NOT_AHEAD)
        else:
            asyncio.run(migrate(Secret(database)))
        wait_until(lambda: daemon.get("/health")[0] == 200, "health says that all is well")
        if not spool:
            publish_some(mqtt_url, topic_prefix, 0)
        wait_until(lambda: rows_of(database, STORED) == [(100,)], "all stored")
    finally:
        daemon.kill()
