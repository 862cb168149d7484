"""What a benchmark has started does not outlive it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.frame import BenchError
from benchmarks.processes import resident_bytes, running

DEADLINE_SECONDS = 60.0
STARTS_ANOTHER = """
from benchmarks.processes import running
with running(["sleep", "600"]) as process:
    print(process.pid, flush=True)
    process.wait()
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_what_was_started_dies_with_who_started_it() -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTS_ANOTHER], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    process_id = int(starter.stdout.readline())
    deadline = time.monotonic() + DEADLINE_SECONDS
    until(lambda: Path(f"/proc/{process_id}/comm").read_text() == "sleep\n", deadline)
    starter.kill()
    starter.communicate()
    until(lambda: has_ended(process_id), deadline)


def test_the_memory_of_a_process_that_has_ended_is_not_taken_for_a_figure() -> None:
    with running(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(BenchError, match="has ended"):
            resident_bytes(process.pid)


def until(happened: Callable[[], bool], deadline: float) -> None:
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(process_id: int) -> bool:
    """Whether it is gone, or waits for nothing but its parent's look."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
