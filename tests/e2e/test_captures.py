"""`penstock-sim record`, `replay` and `inspect`, as their users run them."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import mqtt5
import msgspec
import pytest
import yaml

from penstock import sandbox
from penstock_simulator.capture.message import Captured, Header
from penstock_simulator.capture.reading import CaptureError, CaptureReader
from penstock_simulator.capture.writing import CaptureWriter
from tests.support.daemon_process import DaemonProcess
from tests.support.mqtt_client import publish

SIMULATOR = (sys.executable, "-m", "penstock_simulator")
HOLDS = "Every reading is accounted for."
DEADLINE_SECONDS = 60.0
ROUTES: list[dict[str, object]] = [
    {"topic": "devices/{tenant}/{device}/telemetry"},
    {"topic": "plant/{device}/state", "tenant": "plant", "format": "flat", "timestamp_path": "at"},
    {"topic": "scalars/{tenant}/{device}/{metric}", "format": "scalar"},
]
STAMPED, REFUSED, STRAY, UNCONFIRMED = 40, 5, 7, 30


def simulate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIMULATOR, *map(str, arguments)], check=False, capture_output=True, text=True
    )


@contextmanager
def recording(url: str, prefix: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A recording that has begun, and is killed if it does not end by itself."""
    with subprocess.Popen(
        [*SIMULATOR, "record", "--url", url, "--topic", f"{prefix}/#", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            # The header is written when the broker has let it in, which is before it subscribes;
            # so something is published until it comes.
            number, deadline = 0, time.monotonic() + DEADLINE_SECONDS
            while not messages_in(path):
                assert process.poll() is None
                assert time.monotonic() < deadline, "nothing was recorded"
                asyncio.run(publish(url, [(f"{prefix}/first", str(number).encode())]))
                number += 1
            yield process
        finally:
            process.kill()


def messages_in(path: Path) -> list[Captured]:
    """What a capture holds now, also while it is written."""
    try:
        return list(CaptureReader(path).messages())
    except (CaptureError, FileNotFoundError):
        return []


def wait_for(path: Path, topic: str, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while sum(message.topic == topic for message in messages_in(path)) < count:
        assert time.monotonic() < deadline, f"{topic} was not recorded"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_with_a_whole_file(
    mqtt_url: str, topic_prefix: str, tmp_path: Path, number: signal.Signals
) -> None:
    path, topic = tmp_path / "capture.jsonl.gz", f"{topic_prefix}/counted"
    with recording(mqtt_url, topic_prefix, path) as process:
        asyncio.run(publish(mqtt_url, [(topic, b"\xff%d" % n) for n in range(1_000)]))
        wait_for(path, topic, 1_000)
        process.send_signal(number)
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, output
    reader = CaptureReader(path)
    payloads = [m.payload for m in reader.messages() if m.topic == topic]
    assert payloads == [b"\xff%d" % n for n in range(1_000)]
    assert not reader.truncated
    assert f"{len(messages_in(path)):,} messages with" in output
    told = simulate("inspect", path)
    assert told.returncode == 0
    assert f"under {topic_prefix}/" in told.stdout
    assert simulate("record", "--url", mqtt_url, path).returncode == 3, "it overwrote a capture"


def test_a_recording_that_was_killed_is_readable_and_says_so(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    path, topic = tmp_path / "capture.jsonl.gz", f"{topic_prefix}/counted"
    with recording(mqtt_url, topic_prefix, path) as process:
        asyncio.run(publish(mqtt_url, [(topic, str(n).encode()) for n in range(1_000)]))
        wait_for(path, topic, 1_000)
        process.kill()
        process.communicate(timeout=DEADLINE_SECONDS)
    reader = CaptureReader(path)
    payloads = [m.payload for m in reader.messages() if m.topic == topic]
    assert payloads == [str(n).encode() for n in range(1_000)]
    assert reader.truncated
    assert "The end of it is missing" in simulate("inspect", path).stdout


def of_every_kind() -> list[Captured]:
    """Messages of which some are refused, stamped on receipt, not taken, or of QoS 0."""
    now_us = time.time_ns() // 1_000
    messages: list[Captured] = []

    def add(count: int, topic: str, payload: object, *, qos: int = 1) -> None:
        for number in range(count):
            at_us = len(messages) * 500
            body = payload
            if isinstance(payload, dict):
                body = {**payload, "ts" if "metrics" in payload else "at": now_us - at_us - number}
            text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
            messages.append(Captured(at_us=at_us, topic=topic, text=text, qos=1 if qos else 0))

    add(200, "devices/t/one/telemetry", {"metrics": {"temperature": 21.5, "state": "on"}})
    add(100, "plant/press/state", {"level": 3, "tank": {"full": True}})
    add(STAMPED, "scalars/t/one/level", "7.25")
    add(REFUSED, "devices/t/two/telemetry", "{")
    add(STRAY, "elsewhere/t", "1")
    add(UNCONFIRMED, "devices/t/three/telemetry", {"metrics": {"temperature": 1.0}}, qos=0)
    return [*messages, messages[0]]


def write(path: Path, messages: Sequence[Captured]) -> None:
    writer = CaptureWriter(path)
    writer.begin(Header(began_at="2026-01-01T00:00:00+00:00", filters=["#"]))
    writer.add(messages)
    writer.close()


def account_in(path: Path) -> dict[str, Any]:
    account: dict[str, Any] = json.loads(path.read_text())
    return account


def test_a_replay_on_a_stack_of_its_own_accounts_for_everything(tmp_path: Path) -> None:
    capture, config, report = tmp_path / "c.gz", tmp_path / "penstock.yaml", tmp_path / "r.json"
    write(capture, of_every_kind())
    config.write_text(yaml.safe_dump({"routes": ROUTES}))
    done = simulate("replay", capture, "--config", config, "--speed", "2", "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    assert HOLDS in done.stdout
    account = account_in(report)
    found = account["reconciliation"]
    assert account["published"] == account["captured"] == 383
    assert account["acknowledged"] == 383 - UNCONFIRMED
    assert found["expected_readings"] == 200 * 2 + 100 * 2 + STAMPED
    assert found["stored_readings"] == found["expected_readings"] + UNCONFIRMED
    assert found["unconfirmed_readings"] == UNCONFIRMED
    assert found["letters_found"] == found["letters_expected"] == {"malformed": REFUSED}
    assert found["unrouted_messages"] == STRAY


def test_what_is_replayed_twice_is_stored_once_and_other_values_beside_it(
    tmp_path: Path, mqtt_url: str, database: str
) -> None:
    capture, altered, report = tmp_path / "c.gz", tmp_path / "a.gz", tmp_path / "r.json"
    unheard = tmp_path / "u.gz"
    messages = of_every_kind()
    write(capture, messages)
    text = messages[0].text
    assert text is not None
    write(altered, [msgspec.structs.replace(messages[0], text=text.replace("21.5", "22.5"))])
    daemon = DaemonProcess(tmp_path / "daemon", mqtt_url=mqtt_url, dsn=database, routes=ROUTES)
    with daemon:
        for before in (False, True):
            done = simulate(
                *("replay", capture, "--url", mqtt_url, "--rate", "0", "--connections", "3"),
                *("--dsn", database, "--config", daemon.config, "--json", report),
            )
            assert done.returncode == 0, done.stdout + done.stderr
            found = account_in(report)["reconciliation"]
            assert found["lost"] == 0
            assert found["letters_found"] == {"malformed": REFUSED}
            # Readings that carry a time are known by it; the others are new each time.
            stored = 200 * 2 + 100 * 2 + UNCONFIRMED
            assert found["stored_before"] == (stored if before else 0)
        # Another value at the same time is kept as well, soon after it.
        done = simulate(
            *("replay", altered, "--url", mqtt_url, "--dsn", database, "--config", daemon.config)
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert HOLDS in done.stdout
    # Nobody is there to store these, and at QoS 0 nobody says so.
    write(unheard, of_every_kind()[:10])
    done = simulate(
        *("replay", unheard, "--url", mqtt_url, "--qos", "0", "--dsn", database),
        *("--config", daemon.config),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 of 20 unconfirmed readings stored" in done.stdout


def test_a_broker_that_refuses_every_message_is_told(tmp_path: Path) -> None:
    capture, rules = tmp_path / "c.gz", tmp_path / "rules"
    write(capture, of_every_kind()[:10])
    rules.write_text("topic read #\n")
    rules.chmod(0o600)
    with sandbox.Broker(tmp_path / "broker", lines=[f"acl_file {rules}"]) as broker:
        done = simulate("replay", capture, "--url", broker.url, "--rate", "0")
        fresh = simulate("run", "--url", broker.url, "--rate", "100", "--duration", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The broker refused 10 messages." in done.stdout
    assert fresh.returncode == 3, fresh.stdout + fresh.stderr
    assert "the broker refused all" in fresh.stderr


def all_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.read()


@pytest.mark.parametrize("lets_in", [False, True], ids=["connecting", "draining"])
def test_a_replay_that_waits_in_vain_can_be_interrupted(tmp_path: Path, lets_in: bool) -> None:
    capture = tmp_path / "c.gz"
    write(capture, of_every_kind()[:10])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_SECONDS)
        url = f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [*SIMULATOR, "replay", capture, "--url", url, "--rate", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(DEADLINE_SECONDS)
                assert peer.recv(65_536), "no CONNECT"
                if lets_in:
                    peer.sendall(mqtt5.ConnAckPacket().write())
                    assert peer.recv(65_536), "no PUBLISH"
                    # Two of one kind might be heard as one.
                    process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGINT)
                status = process.wait(DEADLINE_SECONDS)
            assert (status, "interrupted" in all_of(process.stdout)) == (130, True)
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--dsn", "postgresql:///nowhere"], 2, "--url"),
        (["--url", "http://127.0.0.1"], 2, "mqtt://"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, arguments: list[str], status: int, told: str
) -> None:
    capture = tmp_path / "c.gz"
    write(capture, of_every_kind()[:1])
    done = simulate("replay", capture, *arguments)
    assert (done.returncode, told in done.stderr) == (status, True), done.stdout + done.stderr
