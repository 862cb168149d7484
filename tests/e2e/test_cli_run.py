"""How `penstock run` ends when it cannot begin."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.cli.exits import ExitCode
from tests.support.command_line import penstock, write_config


def test_a_faulty_configuration_ends_with_2_and_all_faults(tmp_path: Path) -> None:
    config = write_config(tmp_path, mqtt={"qos": 7}, routes=[{"topic": "{tenant}"}])
    done = penstock("run", "--config", config)
    assert done.status == ExitCode.CONFIG
    assert "mqtt.qos: " in done.errors
    assert "routes[0].topic: {device} is missing" in done.errors
    assert "Traceback" not in done.errors


def test_what_only_a_person_can_mend_ends_with_3_and_says_so_in_the_log(tmp_path: Path) -> None:
    with address_in_use() as listen:
        config = write_config(tmp_path, http={"listen": listen}, log={"format": "json"})
        done = penstock("run", "--config", config)
    assert done.status == ExitCode.FATAL
    events = [json.loads(line) for line in done.errors.splitlines()]
    assert events[-1]["event"] == "stopped_by_error"
    assert f"{listen} is in use" in events[-1]["error"]
    assert "exception" not in events[-1]


def test_what_is_doubtful_is_told_once_and_the_start_goes_on(tmp_path: Path) -> None:
    with address_in_use() as listen:
        config = write_config(
            tmp_path,
            http={"listen": listen},
            log={"format": "json"},
            storage={"dsn": "postgresql://penstock:hunter2@db/penstock"},
        )
        config.chmod(0o644)
        done = penstock("run", "--config", config)
    events = [json.loads(line) for line in done.errors.splitlines()]
    (doubtful,) = [event for event in events if event["level"] == "warning"]
    assert doubtful["event"] == "configuration_doubtful"
    assert f"{config} holds a password and everybody can read it" in doubtful["warning"]
    assert events[-1]["event"] == "stopped_by_error"
    assert "hunter2" not in done.errors


def test_a_bug_ends_with_1_and_its_traceback_is_one_line_of_the_log(tmp_path: Path) -> None:
    config = write_config(tmp_path, log={"format": "json"})
    broken = (
        "from penstock.app import process\n"
        "async def serve(settings): raise KeyError('a bug')\n"
        "process.serve = serve\n"
        "from penstock.cli import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, "run", "--config", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.BUG
    event = json.loads(done.stderr)
    assert event["level"] == "critical"
    assert "KeyError: 'a bug'" in event["exception"]


def test_the_log_level_of_the_command_line_wins(tmp_path: Path) -> None:
    with address_in_use() as listen:
        log = {"format": "json", "level": "info"}
        config = write_config(tmp_path, http={"listen": listen}, log=log)
        done = penstock("run", "--config", config, "--log-level", "error")
    assert {json.loads(line)["level"] for line in done.errors.splitlines()} == {"critical"}


@contextmanager
def address_in_use() -> Iterator[str]:
    """Where another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"
