"""From a bad message to its replay, as an operator goes about it."""

import json
from pathlib import Path

from penstock.cli.exits import ExitCode
from tests.support.command_line import penstock
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.publishing import publish, rows_of


def test_a_mended_configuration_brings_back_what_it_had_refused(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    """All but a payload that was too long to keep whole: half of it must not pass for all of it."""
    route: dict[str, object] = {
        "topic": f"{topic_prefix}/{{tenant}}/{{device}}/{{metric}}",
        "format": "scalar",
    }
    daemon = DaemonProcess(
        tmp_path,
        mqtt_url=mqtt_url,
        dsn=database,
        settings={"limits": {"payload_bytes": 4, "dead_letter_bytes": 5}},
        routes=[route],
    )
    with daemon:
        publish(
            mqtt_url,
            [
                (f"{topic_prefix}/acme/pump/level", "12.25"),
                (f"{topic_prefix}/acme/pump/level", "1234567"),
                (f"{topic_prefix}/acme/pump/level", "true"),
            ],
        )
        wait_until(
            lambda: (
                len(rows_of(database, "select from dead_letters")) == 2
                and len(rows_of(database, "select from telemetry")) == 1
            ),
            "two dead letters and a reading",
        )
    listed = penstock("dead-letters", "list", "--config", daemon.config, "--json")
    letters = {line["payload"]: line["id"] for line in map(json.loads, listed.lines)}
    assert sorted(letters) == ["12.25", "12345"]

    config = daemon.config.read_text().replace("payload_bytes: 4", "payload_bytes: 100")
    daemon.config.write_text(config)
    done = penstock("dead-letters", "replay", "--config", daemon.config, "--all")
    assert done.status == ExitCode.REFUSED
    assert done.lines[0].startswith(f"{letters['12345']} refused: payload_too_large: ")
    assert done.lines[1].startswith("replayed 1 dead letter: 1 readings stored")
    values = rows_of(database, "select value from telemetry order by ts")
    assert values == [(12.25,), (1.0,)]
