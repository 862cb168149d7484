"""What a benchmark asks of a process, and how it starts and ends one.

Processor time and memory are the simulator's to read; here are the bytes that it moved (proc(5)).
"""

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.frame import BenchError
from penstock.sandbox.process import dying_with_parent
from penstock_simulator.process_trees import Use, process_use

_END_SECONDS = 60.0
_MEMORY_POLL_SECONDS = 0.1
_ENDED = "a process has ended while it was measured"


def cpu_seconds(process_id: int) -> float:
    """User and system time of a process, all its threads together.

    Raises:
        BenchError: it is gone.
    """
    return _use(process_id).cpu_seconds


def most_resident_bytes(process_ids: Sequence[int], seconds: float) -> int:
    """Let so long pass, and say how much memory the processes had together at most."""
    most, until = 0, time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        most = max(most, sum(map(resident_bytes, process_ids)))
        time.sleep(min(_MEMORY_POLL_SECONDS, left))
    return most


def parent_of(process_id: int) -> int:
    """The process that started it."""
    # The name before may hold spaces.
    stat = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2]
    return int(stat.split()[1])


class IoBytes(NamedTuple):
    """What a process took with read(2) and gave to write(2), sockets and pipes included."""

    read: int
    written: int


def io_bytes(process_id: int) -> IoBytes:
    """What a process has read and written so far."""
    lines = Path(f"/proc/{process_id}/io").read_text().splitlines()
    counts = dict(line.split(": ") for line in lines)
    return IoBytes(int(counts["rchar"]), int(counts["wchar"]))


@contextmanager
def running(command: Sequence[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program within the context, and end it (SIGTERM) on leaving."""
    process = start(command, **options)
    try:
        yield process
    finally:
        end(process)


def start(command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
    """Start a program that is killed when this process ends, even by SIGKILL.

    To the kernel the parent is the thread that starts it, so this is for the main thread.
    """
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*dying_with_parent(signal.SIGKILL), *command], **options
    )


def end(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end, wait for it, and return its exit status."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def resident_bytes(process_id: int) -> int:
    """Memory of a process that is in RAM.

    Raises:
        BenchError: it has ended.
    """
    held = _use(process_id).resident_bytes
    if not held:
        raise BenchError(_ENDED)
    return held


def _use(process_id: int) -> Use:
    use = process_use(process_id)
    if use is None:
        raise BenchError(_ENDED)
    return use
