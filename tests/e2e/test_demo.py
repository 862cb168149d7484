"""The demonstration ends with an account that holds, and leaves nothing behind."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from penstock import sandbox
from penstock.sandbox.databases import execute
from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock_simulator.report.record import Record
from tests.support.records import parsed, text_of

DEMO = (sys.executable, "-m", "penstock", "demo")
DEADLINE_SECONDS = 120.0
KEYS = {
    *("published", "acknowledged", "expected_readings", "stored_readings"),
    *("lost", "duplicates", "corrupt", "dead_lettered", "latency_ms"),
    *("messages_per_second", "readings_per_second"),
}


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
        start_new_session=True,
    )


def descendants(process_id: int) -> set[int]:
    """The processes that a process started, and those that they did."""
    found: set[int] = set()
    for listed in Path(f"/proc/{process_id}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            found |= {child} | descendants(child)
    return found


def gone(process_id: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return True


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"{pattern} was never printed")


def test_the_account_holds_and_is_reported(tmp_path: Path) -> None:
    report, record, page = (tmp_path / name for name in ("report.json", "run.json", "run.html"))
    process = start(
        *("--duration", "5", "--report", str(report)),
        *("--json", str(record), "--html", str(page)),
    )
    read_until(process, "readings stored")
    started = descendants(process.pid)
    assert len(started) >= 3
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, out
    assert "Every reading is accounted for." in out
    account = json.loads(report.read_text())
    assert set(account) == KEYS
    assert (account["lost"], account["duplicates"], account["corrupt"]) == (0, 0, 0)
    assert account["acknowledged"] == account["published"] > 5_000
    assert account["stored_readings"] == account["expected_readings"] > 15_000
    assert sum(account["dead_lettered"].values()) == pytest.approx(
        account["published"] / 200, abs=5
    )
    check_record(msgspec.json.decode(record.read_bytes(), type=Record), account)
    shown = text_of(parsed(page.read_text()))
    assert "Every reading is accounted for" in shown
    assert f"{account['stored_readings']:,} stored" in shown
    assert "penstock demo --duration 5" in shown
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not all(map(gone, started)):
        assert time.monotonic() < deadline, "something that the demonstration started is left"
        time.sleep(0.05)


def check_record(record: Record, account: dict[str, Any]) -> None:
    assert record.account is not None
    assert record.account.report() == account
    assert sum(record.timeline.published) == account["published"]
    assert sum(record.timeline.acknowledged) == account["acknowledged"]
    assert record.latencies.acknowledged.count == account["acknowledged"]
    assert record.latencies.committed.count * 3 == account["stored_readings"]
    samples = record.samples
    for column in (
        *(samples.broker_cpu, samples.daemon_cpu, samples.database_cpu, samples.simulator_cpu),
        *(samples.queue_rows, samples.spool_rows, samples.stored_per_second),
    ):
        assert len(column) == len(samples.at_seconds) >= 3
    for memory in (samples.broker_memory_bytes, samples.database_memory_bytes):
        assert all(size is not None and size > 1_000_000 for size in memory)


def test_a_broker_with_a_password_and_a_role_that_only_creates_databases_will_do(
    scratch: Path, postgres_server: sandbox.Postgres
) -> None:
    role = f"penstock_demo_{secrets.token_hex(4)}"
    execute(postgres_server.dsn, f"CREATE ROLE {role} LOGIN CREATEDB")
    parts = urlsplit(postgres_server.dsn)
    dsn = parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()
    try:
        with sandbox.Broker(scratch / role, users={"penstock": "sec/ret"}) as broker:
            url = broker.url.replace("mqtt://", "mqtt://penstock:sec%2Fret@")
            process = start("--duration", "2", **{MQTT_VARIABLE: url, DSN_VARIABLE: dsn})
            out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        execute(postgres_server.dsn, f"DROP ROLE {role}")
    assert process.returncode == 0, out
    assert f"the broker of {MQTT_VARIABLE} and the database server of {DSN_VARIABLE}" in out
    assert "sec/ret" not in out
    assert "sec%2Fret" not in out


def test_a_named_server_that_is_not_there_is_told_in_a_line() -> None:
    address = f"{LOOPBACK}:{free_port()}"
    process = start(**{DSN_VARIABLE: f"postgresql://somebody@{address}/postgres"})
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 3, out
    assert DSN_VARIABLE in out.splitlines()[-1]
    assert "Traceback" not in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_account(number: signal.Signals) -> None:
    process = start("--duration", "0")
    read_until(process, "readings stored")
    process.send_signal(number)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, out
    assert "Every reading is accounted for." in out


def test_ctrl_c_before_anything_was_published_is_clean() -> None:
    process = start("--duration", "0")
    read_until(process, "Starting")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode in (0, 130), out
    assert "Traceback" not in out


def test_a_daemon_that_ends_by_itself_is_told_with_its_log() -> None:
    process = start("--duration", "0")
    read_until(process, "readings stored")
    (daemon,) = [child for child in descendants(process.pid) if is_daemon(child)]
    os.kill(daemon, signal.SIGKILL)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 3, out
    assert "the daemon ended by itself" in out
    assert "dead_letter" in out


def is_daemon(process_id: int) -> bool:
    command = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
    return b"penstock" in command and b"run" in command
