"""A capture made ready to be published: its packets, encoded, on the disk.

Everything that a message costs is paid before the clock starts, so that a replay is as fast as a
block of bytes can be sent. The packets of a lane stand in a scratch file that has no name and goes
when the process ends; in memory are a few numbers a message.

A lane has the messages of some topics and of one QoS, in the order of the capture. That is the
order that MQTT keeps, too (MQTT 5 §4.6).
"""

import mmap
import tempfile
from array import array
from collections.abc import Iterable
from contextlib import ExitStack
from typing import IO, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.capture.message import Captured
from penstock_simulator.fleet import Numbers
from penstock_simulator.packets import Block, packet_ids

_DUP_FLAG = 0x08
_BLOCK_BYTES = 262_144
_WRITE_BYTES = 1_048_576


class Prepared(NamedTuple):
    """The messages of a capture, spread over lanes."""

    at_us: Numbers
    """When each was received, in the order of the capture."""
    lanes: "list[PreparedLane]"


class PreparedLane:
    """The packets of one lane; fulfils `penstock_simulator.lane.Encoder`.

    Args:
        data: the packets, one after the other.
        ends: where each ends.
        id_places: where in each packet its packet id stands, at QoS 1.
        messages: which message of the capture each is.
        qos: of all of them.
        rounds: how many times they are published.
    """

    def __init__(
        self,
        data: NDArray[np.uint8],
        *,
        ends: Numbers,
        id_places: Numbers,
        messages: Numbers,
        qos: int,
        rounds: int,
    ) -> None:
        self.messages = messages
        self.qos = qos
        self._data = data
        self._starts = np.concatenate([[0], ends[:-1]])
        self._ends = ends
        self._id_places = id_places
        self._rounds = rounds

    @property
    def slots(self) -> int:
        """How many packets there are in all rounds."""
        return len(self.messages) * self._rounds

    @property
    def packet_bytes(self) -> int:
        """The mean length of a packet."""
        return int(self._ends[-1]) // len(self._ends)

    def block(self, first: int, stop: int, *, duplicate: bool = False) -> Block:
        """The packets of slots `first` to `stop`; of new ones fewer, where they are long."""
        stop = min(stop, self.slots)
        if not duplicate:
            stop = self._affordable(first, stop)
        pieces: list[NDArray[np.uint8]] = []
        ends: list[Numbers] = []
        size = 0
        slot = first
        while slot < stop:
            start = slot % len(self.messages)
            count = min(len(self.messages) - start, stop - slot)
            piece, piece_ends = self._piece(slot, start, count, duplicate=duplicate)
            pieces.append(piece)
            ends.append(piece_ends + size)
            size += len(piece)
            slot += count
        return Block(first, np.concatenate(pieces).tobytes(), np.concatenate(ends))

    def _piece(
        self, slot: int, start: int, count: int, *, duplicate: bool
    ) -> tuple[NDArray[np.uint8], Numbers]:
        """The packets of slots that are of one round, `start` being the first's place in it."""
        begin = int(self._starts[start])
        piece = np.array(self._data[begin : int(self._ends[start + count - 1])])
        starts = self._starts[start : start + count] - begin
        if self.qos:
            ids = packet_ids(np.arange(slot, slot + count, dtype=np.int64))
            places = starts + self._id_places[start : start + count]
            piece[places] = ids >> 8
            piece[places + 1] = ids & 0xFF
        if duplicate:
            piece[starts] |= _DUP_FLAG
        return piece, self._ends[start : start + count] - begin

    def _affordable(self, first: int, stop: int) -> int:
        """Where to stop so that a block is not much longer than it has to be."""
        whole_rounds = _BLOCK_BYTES // int(self._ends[-1])
        if whole_rounds:
            return min(stop, first + whole_rounds * len(self.messages))
        start = first % len(self.messages)
        within = int(np.searchsorted(self._ends, self._starts[start] + _BLOCK_BYTES, side="right"))
        return min(stop, first + max(1, within - start))


def prepare(
    messages: Iterable[Captured], *, connections: int, rounds: int = 1, qos: int | None = None
) -> Prepared:
    """Encode messages, for so many connections at most for each QoS.

    Args:
        messages: in the order of the capture.
        connections: over which the topics are spread.
        rounds: how many times all is published.
        qos: for all messages, instead of their own.

    Raises:
        ValueError: there is no message.
        OSError: there is no room for the scratch files.
    """
    at_us = array("q")
    drafts: dict[tuple[int, int], _Draft] = {}
    with ExitStack() as scratch:
        for number, message in enumerate(messages):
            at_us.append(message.at_us)
            chosen = message.qos if qos is None else qos
            key = (crc32(message.topic.encode()) % connections, chosen)
            draft = drafts.get(key)
            if draft is None:
                file = scratch.enter_context(tempfile.TemporaryFile(buffering=_WRITE_BYTES))
                draft = drafts[key] = _Draft(chosen, file)
            draft.add(number, message)
        if not drafts:
            raise ValueError("there is no message to publish")
        lanes = [drafts[key].finished(rounds) for key in sorted(drafts)]
    return Prepared(_numbers(at_us), lanes)


class _Draft:
    """A lane that is being made."""

    def __init__(self, qos: int, file: IO[bytes]) -> None:
        self._qos = qos
        self._file = file
        self._size = 0
        self._ends = array("q")
        self._id_places = array("q")
        self._messages = array("q")

    def add(self, number: int, message: Captured) -> None:
        packet = message.packet(self._qos)
        self._file.write(packet)
        self._size += len(packet)
        self._ends.append(self._size)
        self._messages.append(number)
        if self._qos:
            self._id_places.append(_header_bytes(packet) + 2 + len(message.topic.encode()))

    def finished(self, rounds: int) -> PreparedLane:
        self._file.flush()
        # The map outlives the file, which is closed.
        mapped = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        return PreparedLane(
            np.frombuffer(mapped, dtype=np.uint8),
            ends=_numbers(self._ends),
            id_places=_numbers(self._id_places),
            messages=_numbers(self._messages),
            qos=self._qos,
            rounds=rounds,
        )


def _header_bytes(packet: bytes) -> int:
    """The length of the fixed header: a byte, and the remaining length (MQTT 5 §2.1)."""
    length = 2
    while packet[length - 1] & 0x80:
        length += 1
    return length


def _numbers(column: "array[int]") -> Numbers:
    return np.array(column, dtype=np.int64)
