"""An outage of the database is bridged on the local disk, judged by the simulator's oracle.

The same experiment is run on daemons that are broken on purpose, to show that it can fail.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import sandbox
from tests.support import broken_builds
from tests.support.daemon_process import PENSTOCK, DaemonProcess, wait_until
from tests.support.load import Load, drain
from tests.support.publishing import locked, publish, rows_of

BROKEN = (sys.executable, broken_builds.__file__)
STORED = "select count(*) from telemetry"


@pytest.fixture
def server() -> Iterator[sandbox.Postgres]:
    """A database server of the test's own, to be stopped and killed."""
    with sandbox.scratch_folder() as folder, sandbox.Postgres(folder / "pg") as server:
        yield server


def make_daemon(
    folder: Path,
    mqtt_url: str,
    dsn: str,
    prefix: str,
    command: tuple[str, ...] = PENSTOCK,
    **settings: object,
) -> DaemonProcess:
    return DaemonProcess(
        folder,
        mqtt_url=mqtt_url,
        dsn=dsn,
        command=command,
        routes=[{"topic": f"{prefix}/{{tenant}}/{{device}}/telemetry"}],
        settings={
            "storage": {"retry_max_seconds": 0.5},
            "mqtt": {"reconnect_max_seconds": 0.5},
            "spool": {"path": str(folder / "spool.db"), "after_seconds": 0.5},
            "log": {"format": "json"},
            **settings,
        },
    )


def kill_in_an_outage(daemon: DaemonProcess, load: Load, server: sandbox.Postgres) -> None:
    """Take the database away under load, kill the daemon meanwhile and once while it replays."""
    time.sleep(2)
    server.kill()
    wait_until(lambda: daemon.metric("penstock_readings_spooled") > 5_000, "readings spooled")
    time.sleep(1)
    daemon.kill()
    daemon.start(ready=False)
    wait_until(lambda: daemon.metric("penstock_mqtt_connected") == 1, "subscribed in the outage")
    load.publish_at_least()
    load.end()
    server.start()
    wait_until(lambda: daemon.metric("penstock_spool_replayed_rows_total") > 0, "replaying")
    daemon.kill()
    daemon.start()
    drain(daemon)


def test_an_outage_with_kills_in_it_loses_and_doubles_nothing(
    tmp_path: Path, mqtt_url: str, server: sandbox.Postgres, topic_prefix: str
) -> None:
    dsn = sandbox.create_database(server.dsn, "penstock")
    with (
        make_daemon(tmp_path, mqtt_url, dsn, topic_prefix) as daemon,
        Load(tmp_path, mqtt_url, topic_prefix, malformed=0.01) as load,
    ):
        kill_in_an_outage(daemon, load, server)
        assert daemon.metric("penstock_readings_imbalance") == 0
        assert daemon.get("/health")[1]["ledger"]["balanced"] is True
    account = load.account(dsn)
    assert account["acknowledged"] >= 10_000
    assert account["stored_readings"] == account["expected_readings"]
    assert (account["lost"], account["duplicates"], account["corrupt"]) == (0, 0, 0)


@pytest.mark.parametrize("breakage", ["acknowledge_before_the_disk", "forget_before_commit"])
def test_a_daemon_with_a_careless_spool_is_caught(
    tmp_path: Path, mqtt_url: str, server: sandbox.Postgres, topic_prefix: str, breakage: str
) -> None:
    dsn = sandbox.create_database(server.dsn, "penstock")
    command = (*BROKEN, breakage)
    with (
        make_daemon(tmp_path, mqtt_url, dsn, topic_prefix, command) as daemon,
        Load(tmp_path, mqtt_url, topic_prefix) as load,
    ):
        kill_in_an_outage(daemon, load, server)
    assert load.account(dsn)["lost"] > 0


def test_acknowledgements_go_on_and_memory_stays_in_an_outage(
    tmp_path: Path, mqtt_url: str, server: sandbox.Postgres, topic_prefix: str
) -> None:
    dsn = sandbox.create_database(server.dsn, "penstock")
    topic = f"{topic_prefix}/t/d/telemetry"
    with make_daemon(
        tmp_path, mqtt_url, dsn, topic_prefix, storage={"queue_rows": 300, "batch_rows": 50}
    ) as daemon:
        publish(mqtt_url, [(topic, '{"metrics": {"m": 1}}')])
        wait_until(lambda: rows_of(dsn, STORED) == [(1,)], "the first reading")
        server.kill()
        for start in range(10):
            publish(
                mqtt_url,
                [(topic, f'{{"metrics": {{"m": {start * 500 + n}}}}}') for n in range(500)],
            )
        wait_until(lambda: daemon.metric("penstock_readings_spooled") == 5_000, "all spooled")
        assert daemon.metric("penstock_mqtt_unacknowledged_messages") == 0
        assert daemon.metric("penstock_mqtt_paused") == 0
        health = daemon.get("/health")[1]
        assert (health["db"], health["spool"]) == ("disconnected", "usable")
        assert health["ledger"]["spooled"] == 5_000
        assert [event["level"] for event in daemon.events("spooling_begins")] == ["warning"]
        server.start()
        wait_until(lambda: daemon.metric("penstock_readings_stored_total") == 5_001, "all stored")
        assert rows_of(dsn, STORED) == [(5_001,)]
        wait_until(lambda: daemon.get("/health")[0] == 200, "health says that all is well")
        wait_until(
            lambda: bool(daemon.events("spool_empty")), "the log says that the spool is empty"
        )
        assert len(daemon.events("spooling_begins")) == len(daemon.events("spool_empty")) == 1


def test_a_full_queue_holds_the_broker_back_while_batches_do_not_wait_long(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/t/d/telemetry"
    with make_daemon(
        tmp_path, mqtt_url, database, topic_prefix,
        storage={"queue_rows": 300, "batch_rows": 50},
        spool={"path": str(tmp_path / "spool.db"), "after_seconds": 3_600},
    ) as daemon:  # fmt: skip
        with locked(database, "readings"):
            publish(mqtt_url, [(topic, f'{{"metrics": {{"m": {n}}}}}') for n in range(2_000)])
            wait_until(lambda: daemon.metric("penstock_mqtt_paused") == 1, "the source is paused")
            assert daemon.metric("penstock_queue_rows") >= 300
        wait_until(lambda: rows_of(database, STORED) == [(2_000,)], "all stored")
        wait_until(lambda: daemon.metric("penstock_mqtt_paused") == 0, "the source is read again")
        assert daemon.metric("penstock_spool_appended_batches_total") == 0
        assert not daemon.events("spooling_begins")


def test_messages_of_qos_0_outlast_an_outage_and_a_restart_in_it(
    tmp_path: Path, mqtt_url: str, server: sandbox.Postgres, topic_prefix: str
) -> None:
    dsn = sandbox.create_database(server.dsn, "penstock")
    topic = f"{topic_prefix}/t/d/telemetry"
    with make_daemon(tmp_path, mqtt_url, dsn, topic_prefix) as daemon:
        server.kill()
        publish(mqtt_url, [(topic, f'{{"metrics": {{"m": {n}}}}}') for n in range(300)], qos=0)
        wait_until(lambda: daemon.metric("penstock_readings_received_total") == 300, "received")
        assert daemon.stop() == 0
        assert not daemon.events("shutdown_incomplete")
        daemon.start(ready=False)
        wait_until(lambda: daemon.metric("penstock_mqtt_connected") == 1, "subscribed")
        assert daemon.metric("penstock_readings_spooled", tenant="t") == 300
        publish(mqtt_url, [(topic, '{"metrics": {"m": 300}}')], qos=0)
        server.start()
        wait_until(lambda: daemon.metric("penstock_readings_stored_total") == 301, "all stored")
        assert daemon.metric("penstock_readings_imbalance") == 0


def test_a_shutdown_that_cannot_drain_leaves_the_rest_in_the_spool(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/t/d/telemetry"
    daemon = make_daemon(
        tmp_path, mqtt_url, database, topic_prefix, shutdown_timeout_seconds=2,
        spool={"path": str(tmp_path / "spool.db"), "after_seconds": 3_600},
    )  # fmt: skip
    daemon.start()
    with locked(database, "series"):
        publish(mqtt_url, [(topic, '{"metrics": {"m": 1}}')], qos=0)
        wait_until(
            lambda: daemon.get("/api/v1/queue/stats")[1]["writers"]["busy"] > 0, "a busy writer"
        )
        assert daemon.stop() == 0
        assert not daemon.events("shutdown_incomplete")
    with daemon:
        wait_until(lambda: rows_of(database, STORED) == [(1,)], "the reading of QoS 0")


def test_a_locked_table_delays_no_acknowledgement(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/t/d/telemetry"
    with make_daemon(tmp_path, mqtt_url, database, topic_prefix) as daemon:
        with locked(database, "readings"):
            publish(mqtt_url, [(topic, f'{{"metrics": {{"m": {n}}}}}') for n in range(200)])
            wait_until(lambda: daemon.metric("penstock_readings_spooled") == 200, "all spooled")
            assert daemon.metric("penstock_mqtt_unacknowledged_messages") == 0
            assert daemon.get("/health")[1]["db"] == "disconnected"
        # What had been given up on may be committed by the database all the same.
        wait_until(lambda: rows_of(database, STORED) == [(200,)], "all stored")
        wait_until(lambda: daemon.metric("penstock_readings_spooled") == 0, "the spool is empty")
        assert daemon.metric("penstock_readings_imbalance") == 0
        wait_until(lambda: daemon.get("/health")[0] == 200, "health says that all is well")


def test_a_second_daemon_on_the_same_spool_goes_on_without_it_and_says_whose_it_is(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    with make_daemon(tmp_path, mqtt_url, database, topic_prefix) as first:
        second = make_daemon(
            tmp_path / "second", mqtt_url, database, topic_prefix,
            spool={"path": str(tmp_path / "spool.db")},
        )  # fmt: skip
        with second:
            (event,) = second.events("spool_unusable")
            assert event["fault"] == "locked"
            assert f"is in use by process {first.process_id}: end that one" in event["error"]
            assert second.metric("penstock_spool_faults_total", fault="locked") >= 1
            assert second.get("/health")[1]["spool"] == "unusable"
            assert first.stop() == 0
            wait_until(lambda: second.get("/health")[1]["spool"] == "usable", "it has the spool")


def test_when_everything_is_full_qos_1_waits_and_qos_0_is_counted_as_shed(
    tmp_path: Path, mqtt_url: str, server: sandbox.Postgres, topic_prefix: str
) -> None:
    dsn = sandbox.create_database(server.dsn, "penstock")
    topic = f"{topic_prefix}/t/d/telemetry"
    with make_daemon(
        tmp_path, mqtt_url, dsn, topic_prefix,
        storage={"queue_rows": 1_000, "batch_rows": 100, "batch_bytes": 100_000,
                 "retry_max_seconds": 0.5},
        spool={"path": str(tmp_path / "spool.db"), "max_bytes": 1_048_576, "after_seconds": 0.5},
    ) as daemon:  # fmt: skip
        server.kill()
        text = "x" * 2_000
        waiting = [(topic, f'{{"metrics": {{"m": "{text}{n}"}}}}') for n in range(1_800)]
        publish(mqtt_url, waiting)
        wait_until(lambda: daemon.get("/health")[1]["spool"] == "full", "the spool is full")
        wait_until(
            lambda: daemon.metric("penstock_mqtt_unacknowledged_messages") >= 1_000,
            "messages wait in the queue",
        )
        publish(mqtt_url, [(topic, '{"metrics": {"m": 1, "n": 2}}')] * 500, qos=0)
        wait_until(
            lambda: daemon.metric("penstock_readings_shed_total", tenant="t") == 1_000, "shed"
        )
        ledger = daemon.get("/health")[1]["ledger"]
        assert (ledger["balanced"], ledger["received"]) == (True, 2_800)
        server.start()
        wait_until(lambda: daemon.metric("penstock_readings_stored_total") == 1_800, "all stored")
        assert daemon.get("/health")[1]["ledger"]["balanced"] is True
        publish(mqtt_url, [(topic, '{"metrics": {"m": 1}}')], qos=0)
        wait_until(lambda: daemon.metric("penstock_readings_stored_total") == 1_801, "as before")
