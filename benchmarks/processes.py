"""What the kernel says of a process: processor time, and bytes read and written (proc(5))."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_END_SECONDS = 60.0


def cpu_seconds(process_id: int) -> float:
    """User and system time of a process, all its threads together."""
    # The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def bytes_read(process_id: int) -> int:
    """Bytes that a process took with read(2), from sockets too (but not with recv(2))."""
    return _io(process_id, "rchar")


def bytes_written(process_id: int) -> int:
    """Bytes that a process gave to write(2)."""
    return _io(process_id, "wchar")


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


def _io(process_id: int, name: str) -> int:
    for line in Path(f"/proc/{process_id}/io").read_text().splitlines():
        key, _, value = line.partition(": ")
        if key == name:
            return int(value)
    raise ValueError(f"the kernel does not account for {name}")
