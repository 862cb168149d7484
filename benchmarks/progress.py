"""How many messages a subject has taken so far, asked from outside without disturbing it.

All packets of a fleet without malformed messages are equally long, so the bytes that a subject
has read from its socket, or written to /dev/null, count its messages (what it reads besides is
little, and matters only to how far the generator runs ahead). Where a library reads with recv(2),
which the kernel does not count, the subject itself keeps a counter in a file mapped into memory.
"""

import mmap
import struct
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.processes import bytes_read, bytes_written

_COUNTER = struct.Struct("<q")


class Gauge(msgspec.Struct, frozen=True):
    """Where to look, in a form that can be handed to another process."""

    kind: Literal["read", "written", "counter"]
    process_id: int = 0
    message_bytes: int = 1
    base_bytes: int = 0
    path: str = ""

    def messages(self) -> int:
        """Messages taken since the gauge was made."""
        if self.kind == "counter":
            return read_counter(Path(self.path))
        read = bytes_read if self.kind == "read" else bytes_written
        return (read(self.process_id) - self.base_bytes) // self.message_bytes


def read_gauge(process_id: int, message_bytes: int) -> Gauge:
    """Count what a process reads from now on."""
    return Gauge("read", process_id, message_bytes, bytes_read(process_id))


def written_gauge(process_id: int, message_bytes: int) -> Gauge:
    """Count what a process writes from now on."""
    return Gauge("written", process_id, message_bytes, bytes_written(process_id))


def new_counter(path: Path) -> None:
    """Make a counter that stands at 0."""
    path.write_bytes(_COUNTER.pack(0))


def open_counter(path: Path) -> memoryview:
    """A counter to write to: element 0 of the result."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _COUNTER.size)).cast("q")


def read_counter(path: Path) -> int:
    """Where a counter stands."""
    (count,) = _COUNTER.unpack(path.read_bytes())
    return int(count)
