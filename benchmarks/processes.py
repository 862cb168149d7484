"""What the kernel says of a process: processor time, and bytes read and written (proc(5))."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_END_SECONDS = 60.0


def cpu_seconds(process_id: int) -> float:
    """User and system time of a process, all its threads together."""
    # The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


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
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end, wait for it, and return its exit status."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def resident_bytes(process_id: int) -> int:
    """Memory of a process that is in RAM."""
    return _status_bytes(process_id, "VmRSS:")


def resident_peak_bytes(process_id: int) -> int:
    """The most memory that a process has had in RAM so far."""
    return _status_bytes(process_id, "VmHWM:")


def _status_bytes(process_id: int, name: str) -> int:
    (line,) = [
        line
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines()
        if line.startswith(name)
    ]
    return int(line.split()[1]) * 1024
