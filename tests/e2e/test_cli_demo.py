"""`penstock demo` is the simulator's, arguments and exit status included."""

import subprocess
import sys

from tests.support.command_line import penstock


def test_every_argument_goes_to_the_simulator() -> None:
    own = subprocess.run(
        [sys.executable, "-m", "penstock_simulator", "demo", "--help"],
        capture_output=True,
        check=True,
        text=True,
    )
    said = own.stdout.replace("penstock-sim", "penstock")
    assert penstock("demo", "--help") == (0, said, own.stderr)


def test_a_report_that_cannot_be_written_is_refused_before_the_run() -> None:
    done = penstock("demo", "--report", "/nonexistent/report.json")
    assert done.status == 2
    assert "there is no folder /nonexistent" in done.errors
    assert "Starting" not in done.output


def test_the_exit_status_is_that_of_the_simulator() -> None:
    done = penstock("demo", "--duration", "soon")
    assert done.status == 2
    assert "--duration" in done.errors
