from pathlib import Path

import pytest

from penstock.cli.exits import ExitCode
from tests.support.command_line import Finished, penstock, write_config

TOPIC = "devices/acme/pump/telemetry"
PAYLOAD = (
    '{"ts": "2090-01-01T00:00:00Z", "metrics": {"t": {"value": 21.5, "unit": "°C"}, "m": "x"}}'
)
FAR = {"future_seconds": 3_000_000_000}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(
        tmp_path,
        routes=[{"topic": "other/{tenant}/{device}"}, {"topic": TOPIC, **FIXED, "time": FAR}],
    )


FIXED = {"tenant": "acme", "device": "pump"}


def explain(config: Path, payload: str, *, topic: str = TOPIC, stdin: bytes = b"") -> Finished:
    return penstock(
        "explain", "--config", config, "--topic", topic, "--payload", payload, stdin=stdin
    )


def test_a_good_message_shows_its_route_and_its_readings(config: Path) -> None:
    done = explain(config, PAYLOAD)
    assert done.status == ExitCode.OK
    assert done.lines == [
        f"route    routes[1], {TOPIC}, format envelope",
        "tenant   acme",
        "device   pump",
        "time                  metric  value  quality  unit",
        "2090-01-01T00:00:00Z  t       21.5   192      °C",
        "2090-01-01T00:00:00Z  m       x",
    ]
    assert done.errors == ""


def test_the_payload_may_be_in_a_file_or_on_standard_input(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text(PAYLOAD)
    from_argument = explain(config, PAYLOAD)
    assert explain(config, f"@{file}") == from_argument
    assert explain(config, "-", stdin=PAYLOAD.encode()) == from_argument


def test_a_bad_message_shows_its_reason_and_where_it_came_from(config: Path) -> None:
    done = explain(config, '{"metrics": {"t": 1e999}}')
    assert done.status == ExitCode.REFUSED
    assert done.lines[1] == "tenant   acme"
    assert done.lines[3] == "refused  bad_value"
    assert done.lines[4].startswith("detail   ")
    assert "'t'" in done.lines[4]


def test_bytes_that_are_no_text_are_taken_as_they_are(config: Path) -> None:
    done = explain(config, "-", stdin=b"\xff\x00")
    assert done.status == ExitCode.REFUSED
    assert "refused  bad_encoding" in done.lines


def test_a_topic_without_a_route_is_refused(config: Path) -> None:
    done = explain(config, PAYLOAD, topic="nowhere/\x1b[2J")
    assert done.status == ExitCode.REFUSED
    assert done.lines[0] == "refused  unknown_route"
    assert "\x1b" not in done.output


def test_a_message_without_readings_is_accepted_and_says_so(config: Path) -> None:
    done = explain(config, '{"metrics": {"t": null}}')
    assert done.status == ExitCode.OK
    assert "no reading" in done.lines[-1]


def test_a_missing_payload_file_is_told_in_words(config: Path) -> None:
    done = explain(config, "@/nonexistent")
    assert done.status == ExitCode.CONFIG
    assert "--payload: cannot read /nonexistent" in done.errors


def test_where_devices_are_registered_it_says_that_it_did_not_ask(tmp_path: Path) -> None:
    config = write_config(tmp_path, registry={"auto_register": False})
    done = explain(config, '{"metrics": {"t": 1}}')
    assert done.status == ExitCode.OK
    assert "auto_register is off" in done.errors
