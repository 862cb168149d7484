"""`penstock-sim run` and `verify`, as an operator uses them with a daemon of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from penstock_simulator.report.record import Record
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.publishing import rows_of
from tests.support.records import parsed, text_of

SIMULATOR = (sys.executable, "-m", "penstock_simulator")
ENOUGH = ("--rate", "1000", "--duration", "1", "--malformed", "0.05", "--devices", "4")


@pytest.fixture
def daemon(tmp_path: Path, mqtt_url: str, database: str) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path / "daemon", mqtt_url=mqtt_url, dsn=database) as daemon:
        yield daemon


def simulate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIMULATOR, *map(str, arguments)], check=False, capture_output=True, text=True
    )


@pytest.fixture
def ledger(daemon: DaemonProcess, tmp_path: Path, mqtt_url: str, database: str) -> Path:
    """The ledger of a run that has been stored."""
    path = tmp_path / "ledger"
    done = simulate("run", "--url", mqtt_url, "--ledger", path, *ENOUGH)
    assert done.returncode == 0, done.stderr
    assert "0 unanswered, 0 refused" in done.stdout
    verify = ("verify", "--dsn", database, "--ledger", path)
    wait_until(lambda: simulate(*verify).returncode == 0, "all of it is stored")
    return path


def test_what_was_published_is_verified(ledger: Path, tmp_path: Path, database: str) -> None:
    report = tmp_path / "report.json"
    done = simulate("verify", "--dsn", database, "--ledger", ledger, "--report", report)
    assert done.returncode == 0
    assert "Every reading is accounted for." in done.stdout
    account = json.loads(report.read_text())
    assert account["stored_readings"] == account["expected_readings"] > 2_000
    assert sum(account["dead_lettered"].values()) == pytest.approx(account["published"] / 20, abs=5)
    assert account["misjudged"] == 0


def test_a_run_of_which_nothing_arrived_shows_nothing(
    daemon: DaemonProcess, tmp_path: Path, mqtt_url: str, database: str
) -> None:
    path = tmp_path / "ledger"
    elsewhere = ("--qos", "0", "--topic", "elsewhere/{tenant}/{device}")
    assert simulate("run", "--url", mqtt_url, "--ledger", path, *ENOUGH, *elsewhere).returncode == 0
    done = simulate("verify", "--dsn", database, "--ledger", path)
    assert (done.returncode, "shows nothing" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("delete from readings where ts = (select min(ts) from readings) returning 1", "lost"),
        ("update readings set value = 0 returning 1", "corrupt"),
    ],
)
def test_what_is_wrong_is_told_by_the_exit_status(
    ledger: Path, database: str, damage: str, fault: str
) -> None:
    assert rows_of(database, damage)
    done = simulate("verify", "--dsn", database, "--ledger", ledger)
    assert done.returncode == 1
    assert f"It does not add up: {fault}" in done.stdout


def test_a_database_that_is_not_there_says_nothing_about_the_daemon(ledger: Path) -> None:
    done = simulate("verify", "--dsn", "postgresql://x@127.0.0.1:1/x", "--ledger", ledger)
    assert done.returncode == 3
    assert "could not be read" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--url", "ftp://nowhere"),
        ("run", "--url", "mqtt://127.0.0.1", "--devices", "1", "--connections", "9"),
        ("run", "--url", "mqtt://127.0.0.1", "--malformed", "0.9"),
        ("run", "--url", "mqtt://127.0.0.1", "--daemon", "file:///etc/hostname"),
        ("run", "--url", "mqtt://127.0.0.1", "--daemon", "http://127.0.0.1:1/metrics"),
        ("run", "--url", "mqtt://127.0.0.1", "--html", "/nonexistent/run.html"),
        ("verify", "--dsn", "postgresql://x"),
    ],
)
def test_unusable_arguments_end_with_2(arguments: tuple[str, ...]) -> None:
    assert simulate(*arguments).returncode == 2


def test_a_run_leaves_what_can_be_known_of_it(
    daemon: DaemonProcess, tmp_path: Path, mqtt_url: str, database: str
) -> None:
    metrics = f"http://127.0.0.1:{daemon.port}/metrics"
    left = ("--json", tmp_path / "run.json", "--html", tmp_path / "run.html")
    load = ("--rate", "500", "--duration", "3", "--devices", "4")
    done = simulate("run", "--url", mqtt_url, "--dsn", database, "--daemon", metrics, *left, *load)
    assert done.returncode == 0, done.stderr
    assert "Every reading is accounted for." in done.stdout
    record = msgspec.json.decode((tmp_path / "run.json").read_bytes(), type=Record)
    assert record.account is not None
    assert record.published == record.account.published == record.account.acknowledged > 1_000
    samples = record.samples
    assert len(samples.daemon_cpu) == len(samples.queue_rows) == len(samples.at_seconds) >= 2
    # These may be on any machine.
    assert samples.broker_cpu == samples.database_cpu == []
    shown = text_of(parsed((tmp_path / "run.html").read_text()))
    assert f"{record.account.stored_readings:,} stored" in shown


def test_a_run_without_a_database_claims_nothing(tmp_path: Path, mqtt_url: str) -> None:
    page = tmp_path / "run.html"
    load = ("--rate", "500", "--duration", "1", "--devices", "4")
    done = simulate("run", "--url", mqtt_url, "--html", page, *load)
    assert done.returncode == 0, done.stderr
    assert "Not judged" in text_of(parsed(page.read_text()))


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no")
    done = simulate("verify", "--dsn", "postgresql://x", "--ledger", tmp_path / "x")
    assert done.returncode == 3
    assert "is not a ledger" in done.stderr
