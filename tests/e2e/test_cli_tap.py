"""`penstock tap` beside a daemon, on a real broker."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import mqtt5
import pytest

from penstock import sandbox
from penstock.cli.exits import ExitCode
from penstock.sandbox.ports import LOOPBACK, free_port
from tests.support.command_line import PENSTOCK, penstock, write_config
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.publishing import publish, rows_of
from tests.support.renaming_broker import renaming_broker
from tests.support.tap_process import Tap

Publisher = Callable[..., None]


@pytest.fixture
def config(tmp_path: Path, mqtt_url: str, topic_prefix: str) -> Path:
    return write_config(
        tmp_path,
        mqtt={"url": mqtt_url},
        routes=[{"topic": f"{topic_prefix}/{{tenant}}/{{device}}"}],
    )


@pytest.fixture
def send(mqtt_url: str, topic_prefix: str) -> Publisher:
    def send(value: object, *, tenant: str = "acme", device: str = "pump") -> None:
        payload = value if isinstance(value, bytes) else json.dumps({"metrics": {"m": value}})
        publish(mqtt_url, [(f"{topic_prefix}/{tenant}/{device}", payload)])

    return send


def until_it_listens(tap: Tap, send: Publisher, **origin: str) -> None:
    """Publish the value "ready" until it comes out, then take out all of them."""
    while tap.line(0.2) is None:
        send("ready", **origin)
    send("steady", **origin)
    while "steady" not in (tap.line() or ""):
        pass


def test_readings_are_printed_as_they_come(config: Path, send: Publisher) -> None:
    with Tap(config) as tap:
        until_it_listens(tap, send)
        send({"value": 21.5, "unit": "°C", "quality": 0})
        send("a\x1b[2J")
        line = tap.line()
        assert line is not None
        assert re.fullmatch(r"\d{4}-\S+Z  acme/pump  m  21\.5 °C  quality 0", line)
        assert (tap.line() or "").endswith("acme/pump  m  a\\x1b[2J")
        assert tap.end(signal.SIGINT) == (ExitCode.OK, "")


def test_json_has_the_columns_of_the_view(config: Path, send: Publisher) -> None:
    with Tap(config, "--json") as tap:
        until_it_listens(tap, send)
        send(True)
        record = tap.record()
        assert record.pop("ts").endswith("Z")
        assert record == {
            "tenant": "acme", "device": "pump", "metric": "m",
            "value": 1.0, "quality": 192, "unit": None,
        }  # fmt: skip


def test_it_ends_after_as_many_readings_as_asked_for(config: Path, send: Publisher) -> None:
    with Tap(config, "--count", "2") as tap:
        while tap.line(0.2) is None:
            send(1)
        send(2)
        assert tap.line() is not None
        with pytest.raises(EOFError):
            tap.line()
        assert tap.end() == (ExitCode.OK, "")


def test_only_the_tenant_and_device_that_are_wanted_come(config: Path, send: Publisher) -> None:
    with Tap(config, "--json", "--tenant", "acme", "--device", "fan") as tap:
        until_it_listens(tap, send, device="fan")
        send(1)
        send(2, tenant="other", device="fan")
        send(3, device="fan")
        record = tap.record()
        assert (record["tenant"], record["device"], record["value"]) == ("acme", "fan", 3.0)


def test_what_is_not_readable_is_counted_and_harms_nothing(config: Path, send: Publisher) -> None:
    with Tap(config, "--json") as tap:
        until_it_listens(tap, send)
        send(b"\xff")
        send(7)
        assert tap.record()["value"] == 7.0
        status, errors = tap.end(signal.SIGTERM)
    assert status == ExitCode.OK
    assert errors == "messages that are dead letters: 1\n"


def test_a_reader_that_has_enough_ends_it_quietly(config: Path, send: Publisher) -> None:
    with subprocess.Popen(
        [*PENSTOCK, "tap", "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tap:
        assert tap.stdout is not None
        assert tap.stderr is not None
        tap.stdout.close()
        while tap.poll() is None:
            send(1)
        errors = tap.stderr.read()
    assert (tap.returncode, errors) == (ExitCode.OK, b"")


def test_the_daemon_does_not_notice(
    tmp_path: Path, broker: sandbox.Broker, database: str, topic_prefix: str, send: Publisher
) -> None:
    """It shares neither the daemon's session nor its group, and takes no message away from it."""
    daemon = DaemonProcess(
        tmp_path / "daemon",
        mqtt_url=broker.url,
        dsn=database,
        settings={"mqtt": {"url": broker.url, "share_group": topic_prefix}},
        routes=[{"topic": f"{topic_prefix}/{{tenant}}/{{device}}"}],
    )
    with daemon:
        with Tap(daemon.config, "--json") as tap:
            until_it_listens(tap, send)
            for value in range(50):
                send(value)
            assert [tap.record()["value"] for _ in range(50)] == list(range(50))
            assert tap.end(signal.SIGINT) == (ExitCode.OK, "")
        wait_until(
            lambda: len(rows_of(database, "select from telemetry")) == 50, "50 readings stored"
        )
        assert daemon.metric("penstock_mqtt_connections_total") == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_broker_keeps_nothing_of_it(
    tmp_path: Path, broker: sandbox.Broker, topic_prefix: str, send: Publisher, protocol: str
) -> None:
    config = write_config(
        tmp_path,
        mqtt={"url": broker.url, "protocol": protocol},
        routes=[{"topic": f"{topic_prefix}/{{tenant}}/{{device}}"}],
    )
    with Tap(config) as tap:
        until_it_listens(tap, send)
        client_ids = re.findall(r" as (penstock-tap-[0-9a-f]{8}) ", broker.log_path.read_text())
        assert tap.end(signal.SIGINT)[0] == ExitCode.OK
    assert client_ids
    assert not session_present(broker, client_ids[-1])


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_it_declines_where_it_would_be_given_the_daemons_session(
    tmp_path: Path, scratch: Path, database: str, topic_prefix: str, protocol: str
) -> None:
    word = tmp_path / "word"
    word.write_text("word")
    word.chmod(0o600)
    with renaming_broker(scratch / topic_prefix, {"penstock": "word"}) as broker:
        daemon = DaemonProcess(
            tmp_path,
            mqtt_url=broker.url,
            dsn=database,
            settings={
                "mqtt": {
                    "protocol": protocol,
                    "username": "penstock",
                    "password": {"file": str(word)},
                }
            },
            routes=[{"topic": "{tenant}/{device}"}],
        )
        with daemon:
            done = penstock("tap", "--config", daemon.config)
            assert done.status == ExitCode.FATAL, done
            assert "use_username_as_clientid false" in done.errors
            wait_until(
                lambda: daemon.metric("penstock_mqtt_connections_total") == 2,
                "the daemon has connected again",
            )
            assert daemon.metric("penstock_mqtt_sessions_lost_total") == 0


def session_present(broker: sandbox.Broker, client_id: str) -> bool:
    """Whether the broker has a session under this client id."""
    import socket

    with socket.create_connection((LOOPBACK, broker.port), 60) as connection:
        connection.sendall(mqtt5.ConnectPacket(client_id, clean_start=False).write())
        answer, _ = mqtt5.read(memoryview(connection.recv(1000)))
    assert isinstance(answer, mqtt5.ConnAckPacket)
    return answer.session_present


def test_a_broker_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, mqtt={"url": f"mqtt://{LOOPBACK}:{port}"})
    with Tap(config) as tap:
        assert tap._process.stderr is not None
        first = tap._process.stderr.readline()
        assert str(port) in first
        assert "Traceback" not in first
        assert tap.end(signal.SIGINT)[0] == ExitCode.OK


def test_a_tenant_that_no_route_can_bring_is_told_at_once(tmp_path: Path) -> None:
    config = write_config(tmp_path, routes=[{"topic": "z/{device}", "tenant": "home"}])
    with Tap(config, "--tenant", "acme") as tap:
        status, errors = tap.end()
    assert status == ExitCode.CONFIG
    assert "no route can bring readings" in errors
