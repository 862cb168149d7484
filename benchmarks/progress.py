"""How many messages a subject has taken so far, asked from outside without disturbing it.

All packets of a fleet without malformed messages are equally long, so the bytes that a subject
reads and writes count its messages:

* What `mosquitto_sub` reads less what it writes: packets from the broker, less payloads with a
  newline. The byte by which it wakes itself for each acknowledgement stands on both sides, and its
  acknowledgements leave by send(2), which the kernel does not count.
* What Penstock reads: packets, and answers of the database, which are few. This only decides how
  far the generator runs ahead; Penstock's rate is of what was committed.
* Where a library reads by recv(2), which the kernel does not count either, the subject itself keeps
  a counter in a file that is mapped into memory.
"""

import mmap
import struct
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.processes import io_bytes

_COUNTER = struct.Struct("<q")


class Gauge(msgspec.Struct, frozen=True):
    """Where to look, in a form that can be handed to another process."""

    kind: Literal["read", "passed", "counter"]
    process_id: int = 0
    message_bytes: int = 1
    base_bytes: int = 0
    path: str = ""
    others: tuple["Gauge", ...] = ()
    """What is counted besides, where several processes share the messages."""

    def messages(self) -> int:
        """Messages taken since the gauge was made."""
        return self._own_messages() + sum(other.messages() for other in self.others)

    def _own_messages(self) -> int:
        if self.kind == "counter":
            return read_counter(Path(self.path))
        taken = _bytes(self.kind, self.process_id) - self.base_bytes
        return taken // self.message_bytes


def read_gauge(process_id: int, message_bytes: int) -> Gauge:
    """Count what a process reads from now on."""
    return Gauge("read", process_id, message_bytes, _bytes("read", process_id))


def passed_gauge(process_id: int, packet_bytes: int, line_bytes: int) -> Gauge:
    """Count the packets that a process reads and passes on as lines."""
    return Gauge("passed", process_id, packet_bytes - line_bytes, _bytes("passed", process_id))


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


def _bytes(kind: str, process_id: int) -> int:
    taken = io_bytes(process_id)
    return taken.read - taken.written if kind == "passed" else taken.read
