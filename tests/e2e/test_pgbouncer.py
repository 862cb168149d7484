"""The whole path through a pgbouncer that pools by transactions, judged by the oracle."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import sandbox
from penstock.storage.connection import APPLICATION_NAME
from tests.support.command_line import penstock
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.load import Load, drain
from tests.support.pgbouncer import PgBouncer
from tests.support.publishing import publish, rows_of

POOL_SIZE = 2
CLIENTS = f"""
    select count(distinct pid) from pg_stat_activity
    where datname = current_database() and application_name = '{APPLICATION_NAME}'
"""


@pytest.fixture
def pooler(database: str) -> Iterator[PgBouncer]:
    with (
        sandbox.scratch_folder() as folder,
        PgBouncer(folder / "pgbouncer", database, pool_size=POOL_SIZE) as pooler,
    ):
        yield pooler


def make_daemon(
    folder: Path, mqtt_url: str, dsn: str, prefix: str, *, spool: bool = False
) -> DaemonProcess:
    return DaemonProcess(
        folder,
        mqtt_url=mqtt_url,
        dsn=dsn,
        routes=[{"topic": f"{prefix}/{{tenant}}/{{device}}/telemetry"}],
        settings={
            # More of them than the pooler has sessions, so that none keeps one.
            "storage": {"writers": 4, "retry_max_seconds": 0.5, "batch_rows": 500},
            "spool": {"path": str(folder / "spool.db") if spool else None, "after_seconds": 0.5},
            "log": {"format": "json"},
        },
    )


def test_a_load_survives_the_end_of_the_pooler(
    tmp_path: Path, mqtt_url: str, database: str, pooler: PgBouncer, topic_prefix: str
) -> None:
    with (
        make_daemon(tmp_path, mqtt_url, pooler.dsn, topic_prefix, spool=True) as daemon,
        Load(tmp_path, mqtt_url, topic_prefix, malformed=0.01) as load,
    ):
        wait_until(lambda: daemon.metric("penstock_readings_stored_total") > 2_000, "stored")
        pooler.stop()
        wait_until(lambda: daemon.metric("penstock_readings_spooled") > 1_000, "spooled")
        time.sleep(1)
        pooler.start()
        load.publish_at_least()
        load.end()
        drain(daemon)
        assert rows_of(database, CLIENTS)[0][0] <= POOL_SIZE
        assert daemon.metric("penstock_readings_imbalance") == 0
        assert daemon.metric("penstock_database_refusals_total") == 0
    account = load.account(database)
    assert account["acknowledged"] >= 10_000
    assert account["stored_readings"] == account["expected_readings"]
    assert (account["lost"], account["duplicates"], account["corrupt"]) == (0, 0, 0)


def test_duplicates_new_series_and_dead_letters_go_their_ways(
    tmp_path: Path, mqtt_url: str, database: str, pooler: PgBouncer, topic_prefix: str
) -> None:
    messages = [
        (
            f"{topic_prefix}/t/d{n % 50}/telemetry",
            f'{{"ts": {1_790_000_000 + n}, "metrics": {{"m": {n}, "s": "x"}}}}',
        )
        for n in range(500)
    ]
    with make_daemon(tmp_path, mqtt_url, pooler.dsn, topic_prefix) as daemon:
        for _ in range(3):
            publish(mqtt_url, [*messages, (f"{topic_prefix}/t/d/telemetry", "{")])
        wait_until(lambda: daemon.metric("penstock_dead_letters_total") == 3, "dead letters")
        wait_until(lambda: daemon.metric("penstock_readings_duplicate_total") == 2_000, "doubles")
        assert daemon.metric("penstock_readings_stored_total") == 1_000
        assert daemon.metric("penstock_readings_imbalance") == 0
        wait_until(lambda: rows_of(database, "select count(*) from latest") == [(50,)], "latest")
        assert penstock("migrate", "--config", str(daemon.config)).status == 0
        listed = penstock("dead-letters", "list", "--config", str(daemon.config))
        assert (listed.status, listed.output.count("malformed")) == (0, 3)
    assert rows_of(database, "select count(*) from telemetry") == [(500,)]
    assert rows_of(database, "select count(*) from telemetry_text") == [(500,)]
