"""The daemon as a process, between a real broker and a real database."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from penstock import sandbox
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.settings.dsn import place_of
from penstock.settings.secret import Secret
from tests.support.command_line import penstock
from tests.support.daemon_process import BROKEN, DaemonProcess, wait_until
from tests.support.mqtt_client import mqtt_client
from tests.support.publishing import locked, publish, rows_of

TELEMETRY = "select tenant, device, metric, value, quality from telemetry order by 1, 2, 3, ts"
DEAD_LETTERS = "select topic, payload, reason, tenant from dead_letters order by dead_letter_id"


@pytest.fixture
def daemon(tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str) -> DaemonProcess:
    """A daemon on an empty database, not started, whose routes begin with the topic prefix."""
    return make_daemon(tmp_path, mqtt_url, database, topic_prefix)


def make_daemon(
    folder: Path, mqtt_url: str, dsn: str, prefix: str, **settings: object
) -> DaemonProcess:
    return DaemonProcess(
        folder,
        mqtt_url=mqtt_url,
        dsn=dsn,
        settings={"log": {"format": "json"}, **settings},
        routes=[
            {"topic": f"{prefix}/{{tenant}}/{{device}}/telemetry"},
            {"topic": f"{prefix}/{{tenant}}/{{device}}/{{metric}}", "format": "scalar"},
        ],
    )


def envelope(value: object, **more: object) -> str:
    return json.dumps({"metrics": {"m": value}, **more})


def wait_for_rows(dsn: str, sql: str, count: int) -> list[tuple[Any, ...]]:
    wait_until(lambda: len(rows_of(dsn, sql)) >= count, f"{count} rows of {sql}")
    return rows_of(dsn, sql)


def test_messages_become_rows_and_bad_ones_dead_letters(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    with daemon:
        publish(
            mqtt_url,
            [
                (f"{topic_prefix}/acme/pump/telemetry", envelope(1.5)),
                (f"{topic_prefix}/acme/pump/telemetry", "not json"),
                (f"{topic_prefix}/acme/pump/level", "7"),
                (f"{topic_prefix}/other/pump/telemetry", envelope({"value": 2, "quality": 0})),
                (f"{topic_prefix}/acme/pump/telemetry", envelope("text")),
            ],
        )
        rows = wait_for_rows(database, TELEMETRY, 3)
        assert rows == [
            ("acme", "pump", "level", 7.0, 192),
            ("acme", "pump", "m", 1.5, 192),
            ("other", "pump", "m", 2.0, 0),
        ]
        assert rows_of(database, "select device, value from telemetry_text") == [("pump", "text")]
        (letter,) = wait_for_rows(database, DEAD_LETTERS, 1)
        assert letter == (f"{topic_prefix}/acme/pump/telemetry", b"not json", "malformed", "acme")
        wait_until(lambda: bool(daemon.events("dead_letter")), "the dead letter in the log")
        logged = daemon.events("dead_letter")[0]
        assert logged["reason"] == "malformed"
        assert None not in logged.values()
        (subscribed,) = daemon.events("mqtt_subscribed")
        assert subscribed["filters"] == [f"{topic_prefix}/+/+/+"]


def test_a_flood_of_dead_letters_is_logged_in_part_and_the_rest_counted(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon.start()
    publish(mqtt_url, [(f"{topic_prefix}/acme/pump/telemetry", "not json")] * 500)
    wait_for_rows(database, DEAD_LETTERS, 500)
    assert daemon.stop() == 0
    events = daemon.events("dead_letter")
    suppressed = [event["suppressed"] for event in events if "suppressed" in event]
    assert suppressed
    assert len(events) - len(suppressed) + sum(suppressed) == 500


def test_at_debug_every_batch_is_logged(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(
        tmp_path, mqtt_url, database, topic_prefix, log={"level": "debug", "format": "json"}
    )
    daemon.start()
    publish(mqtt_url, [(f"{topic_prefix}/acme/pump/telemetry", envelope(1))])
    wait_for_rows(database, TELEMETRY, 1)
    assert daemon.stop() == 0
    (sealed,), (committed,) = daemon.events("batch_sealed"), daemon.events("batch_committed")
    assert (sealed["rows"], sealed["cause"] in {"age", "stop"}) == (1, True)
    assert (committed["batch"], committed["rows"]) == (sealed["batch"], 1)
    assert committed["store_seconds"] > 0


def test_health_metrics_and_ledger_tell_what_happened(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/acme/pump/telemetry"
    with daemon:
        publish(mqtt_url, [(topic, envelope(value)) for value in range(3)] + [(topic, "?")])
        wait_until(
            lambda: (
                daemon.metric("penstock_readings_stored_total", tenant="acme") == 3
                and daemon.metric("penstock_readings_dead_lettered_total", tenant="acme") == 1
            ),
            "three readings and a dead letter in the account",
        )
        assert daemon.metric("penstock_readings_received_total", tenant="acme") == 4
        assert daemon.metric("penstock_readings_in_flight") == 0
        assert daemon.metric("penstock_dead_letters_total", reason="malformed") == 1
        assert daemon.metric("ingest_events_total", status="success") == 3
        assert daemon.metric("ingest_events_total", status="error") == 1
        status, health = daemon.get("/health")
        assert status == 200
        assert health["service"] == "ok"
        assert health["db"] == "connected"
        assert health["mqtt"] == "connected"
        assert daemon.get("/api/v1/queue/stats")[0] == 200


def test_a_reading_delivered_again_is_stored_once_and_counted(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/acme/pump/telemetry"
    with daemon:
        status, health = daemon.get("/health")
        assert status == 200
        message = (topic, envelope(1.0, ts=health["timestamp"]))
        publish(mqtt_url, [message, message])
        publish(mqtt_url, [message])
        wait_until(
            lambda: daemon.metric("penstock_readings_duplicate_total", tenant="acme") == 2,
            "two duplicates in the account",
        )
        assert len(rows_of(database, TELEMETRY)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_store_and_acknowledge_everything_and_exit_0(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str, number: signal.Signals
) -> None:
    daemon.start()
    publish(
        mqtt_url,
        [(f"{topic_prefix}/t/d{number}/telemetry", envelope(number)) for number in range(500)],
    )
    assert daemon.stop(number) == 0
    stored_before = len(rows_of(database, TELEMETRY))
    (stopped,) = daemon.events("stopped")
    assert stopped["readings_received"] == stopped["readings_stored"] == stored_before
    with daemon:
        wait_for_rows(database, TELEMETRY, 500)
        assert daemon.metric("penstock_readings_received_total") == 500 - stored_before
        assert daemon.metric("penstock_readings_duplicate_total") == 0


def test_messages_published_while_the_daemon_is_away_are_stored_when_it_returns(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon.start()
    assert daemon.stop() == 0
    publish(mqtt_url, [(f"{topic_prefix}/t/d/telemetry", envelope(value)) for value in range(50)])
    with daemon:
        assert len(wait_for_rows(database, TELEMETRY, 50)) == 50


def test_a_second_signal_forces_the_end(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon.start()
    # A lock keeps the writers from finishing, so that the daemon cannot drain.
    with locked(database, "series"):
        publish(mqtt_url, [(f"{topic_prefix}/t/d/telemetry", envelope(1))])
        wait_until(
            lambda: daemon.get("/api/v1/queue/stats")[1]["writers"]["busy"] > 0, "a busy writer"
        )
        os.kill(daemon.process_id, signal.SIGTERM)
        wait_until(lambda: bool(daemon.events("shutdown_requested")), "the first signal heard")
        assert daemon.events("shutdown_requested")[0]["drains_within_seconds"] == 30
        os.kill(daemon.process_id, signal.SIGHUP)
        assert daemon.running, "closing the terminal may send SIGHUP twice"
        assert daemon.stop(signal.SIGINT) == 4
        assert [event["signal"] for event in daemon.events("shutdown_forced")] == ["SIGINT"]
    with daemon:
        wait_for_rows(database, TELEMETRY, 1)


def test_a_shutdown_that_cannot_drain_ends_in_time_and_loses_nothing(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(tmp_path, mqtt_url, database, topic_prefix, shutdown_timeout_seconds=1)
    daemon.start()
    with locked(database, "series"):
        publish(mqtt_url, [(f"{topic_prefix}/t/d/telemetry", envelope(1))])
        wait_until(
            lambda: daemon.get("/api/v1/queue/stats")[1]["writers"]["busy"] > 0, "a busy writer"
        )
        assert daemon.stop(signal.SIGTERM) == 0
        (event,) = daemon.events("shutdown_incomplete")
        assert event["messages_not_acknowledged"] == 1
    with daemon:
        wait_for_rows(database, TELEMETRY, 1)


def test_the_service_manager_hears_ready_and_stopping(
    daemon: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        daemon.start()
        assert daemon.stop() == 0
        manager.setblocking(False)
        notices = []
        try:
            while True:
                notices.append(manager.recv(4096).decode())
        except BlockingIOError:
            pass
    text = "\n".join(notices)
    assert text.index("READY=1") < text.index("STOPPING=1")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_database_that_goes_away_is_waited_for(
    tmp_path: Path, mqtt_url: str, topic_prefix: str, end: str
) -> None:
    with sandbox.scratch_folder() as folder, sandbox.Postgres(folder / "pg") as server:
        dsn = sandbox.create_database(server.dsn, "penstock")
        with make_daemon(
            tmp_path, mqtt_url, dsn, topic_prefix, storage={"retry_max_seconds": 0.5}
        ) as daemon:
            topic = f"{topic_prefix}/t/d/telemetry"
            publish(mqtt_url, [(topic, envelope(1))])
            wait_for_rows(dsn, TELEMETRY, 1)

            (server.stop if end == "stop" else server.kill)()
            publish(mqtt_url, [(topic, envelope(value)) for value in range(2, 30)])
            wait_until(lambda: daemon.get("/health")[0] == 503, "health says that all is not well")
            health = daemon.get("/health")[1]
            assert health["db"] != "connected"
            assert daemon.get("/health/live")[0] == 200
            wait_until(
                lambda: daemon.metric("penstock_readings_in_flight") == 28, "28 readings held"
            )

            server.start()
            wait_for_rows(dsn, TELEMETRY, 29)
            wait_until(lambda: daemon.get("/health")[0] == 200, "health says that all is well")
            assert daemon.metric("penstock_readings_imbalance") == 0


def test_a_daemon_started_before_its_database_waits_and_says_so(
    tmp_path: Path, mqtt_url: str, topic_prefix: str
) -> None:
    with sandbox.scratch_folder() as folder, sandbox.Postgres(folder / "pg") as server:
        dsn = sandbox.create_database(server.dsn, "penstock")
        server.stop()
        daemon = make_daemon(
            tmp_path, mqtt_url, dsn, topic_prefix, storage={"retry_max_seconds": 0.5}
        )
        daemon.start(ready=False)
        try:
            status, answer = daemon.get("/health/ready")
            assert (status, bool(answer["reasons"])) == (503, True)
            wait_until(lambda: bool(daemon.events("database_unavailable")), "the log says so")
            error = daemon.events("database_unavailable")[0]["error"]
            assert place_of(Secret(dsn)) in error
            assert "storage.dsn" in error
            server.start()
            wait_until(lambda: daemon.get("/health/ready")[0] == 200, "ready")
        finally:
            daemon.kill()


def test_attempts_to_reach_a_broker_that_is_not_there_are_counted(
    tmp_path: Path, database: str, topic_prefix: str
) -> None:
    nobody = f"mqtt://{LOOPBACK}:{free_port()}"
    daemon = make_daemon(
        tmp_path,
        nobody,
        database,
        topic_prefix,
        mqtt={"reconnect_min_seconds": 0.01, "reconnect_max_seconds": 0.02},
    )
    daemon.start(ready=False)
    try:
        retries = "penstock_retries_total"
        wait_until(lambda: daemon.metric(retries, operation="mqtt_connect") > 2, "retries")
        assert daemon.metric("penstock_mqtt_connections_total") == 0
    finally:
        daemon.kill()


def test_a_session_that_the_broker_dropped_is_counted_and_logged(
    daemon: DaemonProcess, mqtt_url: str
) -> None:
    async def take_over_with_a_clean_start() -> None:
        async with mqtt_client(mqtt_url, client_id=f"penstock-{daemon.port}"):
            pass

    with daemon:
        assert daemon.metric("penstock_mqtt_sessions_lost_total") == 0
        asyncio.run(take_over_with_a_clean_start())
        wait_until(lambda: daemon.metric("penstock_mqtt_sessions_lost_total") == 1, "counted")
        wait_until(lambda: bool(daemon.events("mqtt_session_lost")), "logged")


def test_a_daemon_that_does_not_migrate_waits_for_whoever_does(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(
        tmp_path,
        mqtt_url,
        database,
        topic_prefix,
        storage={"migrate_on_start": False, "retry_max_seconds": 0.2},
    )
    daemon.start(ready=False)
    try:
        wait_until(lambda: bool(daemon.events("database_refuses")), "the schema is missed")
        assert "penstock migrate" in daemon.events("database_refuses")[0]["reason"]
        assert daemon.get("/health/ready")[0] == 503
        assert not daemon.events("mqtt_connected"), "nothing is read that could not be stored"
        assert penstock("migrate", "--config", str(daemon.config)).status == 0
        wait_until(lambda: daemon.get("/health/ready")[0] == 200, "ready")
    finally:
        daemon.kill()


def test_an_outage_holds_the_broker_back_and_memory_stays_bounded(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(
        tmp_path,
        mqtt_url,
        database,
        topic_prefix,
        storage={"queue_rows": 200, "batch_rows": 50, "retry_max_seconds": 0.2},
        mqtt={"receive_maximum": 1_000},
    )
    with daemon:
        with locked(database, "series"):
            publish(
                mqtt_url,
                [(f"{topic_prefix}/t/d{n % 7}/telemetry", envelope(n)) for n in range(3_000)],
            )
            wait_until(lambda: daemon.metric("penstock_mqtt_paused") == 1, "the intake paused")
            assert daemon.metric("penstock_mqtt_unacknowledged_messages") <= 1_000
        wait_for_rows(database, "select from telemetry", 3_000)
        wait_until(
            lambda: daemon.metric("penstock_mqtt_unacknowledged_messages") == 0, "all acknowledged"
        )
        assert daemon.metric("penstock_mqtt_paused") == 0


def test_one_poison_row_costs_one_dead_letter(
    daemon: DaemonProcess, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/t/d/telemetry"
    with daemon:
        rows_of(database, "alter table readings add constraint no_13 check (value <> 13)")
        publish(mqtt_url, [(topic, envelope(value)) for value in range(40)])
        rows = wait_for_rows(database, TELEMETRY, 39)
        assert sorted(row[3] for row in rows) == [value for value in range(40) if value != 13]
        ((reason, sqlstate, tenant, payload),) = wait_for_rows(
            database, "select reason, sqlstate, tenant, payload from dead_letters", 1
        )
        assert (reason, sqlstate, tenant) == ("storage_error", "23514", "t")
        assert json.loads(payload)["metrics"] == {"m": {"value": 13.0, "quality": 192}}
        assert daemon.metric("penstock_readings_imbalance") == 0


def test_daemons_that_share_a_load_keep_every_untimed_reading(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    first, second = (
        make_daemon(
            tmp_path / name,
            mqtt_url,
            database,
            topic_prefix,
            mqtt={"share_group": topic_prefix, "client_id": f"{topic_prefix}-{name}"},
        )
        for name in ("first", "second")
    )
    topic = f"{topic_prefix}/t/d/telemetry"
    with first, second:
        publish(mqtt_url, [(topic, envelope(value)) for value in range(4_000)])
        rows = wait_for_rows(database, "select value from telemetry", 4_000)
        assert sorted(value for (value,) in rows) == list(range(4_000))
        received = [daemon.metric("penstock_messages_received_total") for daemon in (first, second)]
        assert min(received) > 0


def test_an_unregistered_device_is_refused_until_it_is_registered(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(
        tmp_path,
        mqtt_url,
        database,
        topic_prefix,
        registry={"auto_register": False, "refresh_seconds": 0.2},
    )
    topic = f"{topic_prefix}/acme/pump/telemetry"
    with daemon:
        publish(mqtt_url, [(topic, envelope(1))])
        (letter,) = wait_for_rows(database, DEAD_LETTERS, 1)
        assert letter[2] == "unregistered_device"
        rows_of(database, "select register_device('acme', 'pump')")

        def stored() -> bool:
            publish(mqtt_url, [(topic, envelope(2))])
            return bool(rows_of(database, TELEMETRY))

        wait_until(stored, "a reading of the registered device")


def test_a_device_that_is_registered_no_more_is_refused_again(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(
        tmp_path,
        mqtt_url,
        database,
        topic_prefix,
        registry={"auto_register": False, "refresh_seconds": 0.2},
    )
    topic = f"{topic_prefix}/acme/pump/telemetry"
    with daemon:
        rows_of(database, "select register_device('acme', 'pump')")

        def published(query: str) -> bool:
            publish(mqtt_url, [(topic, envelope(1))])
            return bool(rows_of(database, query))

        wait_until(lambda: published(TELEMETRY), "a reading of the registered device")
        for table in ("latest", "series", "devices"):
            rows_of(database, f"delete from {table}")
        rows_of(database, "delete from dead_letters")
        wait_until(lambda: published(DEAD_LETTERS), "a refusal of the device that is gone")
        assert rows_of(database, "select name from devices") == []


def test_a_bug_in_a_timer_ends_the_daemon_and_loses_nothing(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    daemon = make_daemon(tmp_path, mqtt_url, database, topic_prefix)
    sound, daemon.command = daemon.command, (*BROKEN, "fail_in_a_timer")
    daemon.start()
    publish(mqtt_url, [(f"{topic_prefix}/t/d/telemetry", envelope(1))])
    wait_until(lambda: not daemon.running, "the end of the daemon")
    assert "a bug in a timer" in daemon.log_path.read_text()
    daemon.command = sound
    with daemon:
        wait_for_rows(database, TELEMETRY, 1)


def test_a_busy_port_is_named_and_ends_the_daemon_so_that_systemd_tries_again(
    daemon: DaemonProcess,
) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, daemon.port))  # and does not listen, so that a probe ends at once
        with pytest.raises(sandbox.SandboxError) as caught:
            daemon.start()
    assert "status 3" in str(caught.value)
    assert str(daemon.port) in daemon.log_path.read_text()
