"""A capture made ready to be published: its packets, encoded, on the disk.

Everything that a message costs is paid before the clock starts, so that a replay is as fast as a
block of bytes can be sent. The packets stand in one scratch file that has no name and goes when the
process ends, those of a lane in long runs; in memory are a few numbers a message.

A lane has the messages of some topics and of one QoS, in the order of the capture. That is the
order that MQTT keeps, too (MQTT 5 §4.6).
"""

import mmap
import tempfile
from array import array
from collections.abc import Iterable
from typing import IO, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.capture.message import Captured
from penstock_simulator.fleet import Numbers
from penstock_simulator.packets import Block, packet_ids

_DUP_FLAG = 0x08
_BLOCK_BYTES = 262_144
_MOST_RUN_BYTES = 1_048_576
_ALL_RUNS_BYTES = 67_108_864
"""What waits in memory, of all lanes together, to be written."""


class Prepared(NamedTuple):
    """The messages of a capture, spread over lanes."""

    at_us: Numbers
    """When each was received, in the order of the capture."""
    lanes: "list[PreparedLane]"


class PreparedLane:
    """The packets of one lane; fulfils `penstock_simulator.lane.Encoder`.

    Args:
        data: the packets of all lanes.
        starts: where in it each of this lane's begins, ascending.
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
        starts: Numbers,
        ends: Numbers,
        id_places: Numbers,
        messages: Numbers,
        qos: int,
        rounds: int,
    ) -> None:
        self.messages = messages
        self.qos = qos
        self._data = data
        self._starts = starts
        self._ends = ends
        self._bytes = int((ends - starts).sum())
        apart = np.flatnonzero(starts[1:] != ends[:-1]) + 1
        self._run_stops = np.concatenate([apart, [len(messages)]])
        self._id_places = id_places
        self._rounds = rounds

    @property
    def slots(self) -> int:
        """How many packets there are in all rounds."""
        return len(self.messages) * self._rounds

    @property
    def packet_bytes(self) -> int:
        """The mean length of a packet."""
        return self._bytes // len(self._ends)

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
            count = min(self._run_stop(start) - start, stop - slot)
            piece, piece_ends = self._piece(slot, start, count, duplicate=duplicate)
            pieces.append(piece)
            ends.append(piece_ends + size)
            size += len(piece)
            slot += count
        return Block(first, np.concatenate(pieces).tobytes(), np.concatenate(ends))

    def _piece(
        self, slot: int, start: int, count: int, *, duplicate: bool
    ) -> tuple[NDArray[np.uint8], Numbers]:
        """The packets of slots that are of one run, `start` being the first's place in a round."""
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

    def _run_stop(self, start: int) -> int:
        """Where the packets end that stand one after the other from `start` on."""
        return int(self._run_stops[np.searchsorted(self._run_stops, start, side="right")])

    def _affordable(self, first: int, stop: int) -> int:
        """Where to stop so that a block is not much longer than it has to be."""
        whole_rounds = _BLOCK_BYTES // self._bytes
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
        OSError: there is no room for the scratch file.
    """
    at_us = array("q")
    drafts: dict[tuple[int, int], _Draft] = {}
    run_bytes = min(_MOST_RUN_BYTES, _ALL_RUNS_BYTES // (2 * connections))
    with tempfile.TemporaryFile(buffering=0) as file:
        for number, message in enumerate(messages):
            at_us.append(message.at_us)
            chosen = message.qos if qos is None else qos
            key = (crc32(message.topic.encode()) % connections, chosen)
            draft = drafts.get(key)
            if draft is None:
                draft = drafts[key] = _Draft(chosen, file, run_bytes)
            draft.add(number, message)
        if not drafts:
            raise ValueError("there is no message to publish")
        for draft in drafts.values():
            draft.flush()
        # The map outlives the file, which is closed.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(mapped, dtype=np.uint8)
    lanes = [drafts[key].finished(data, rounds) for key in sorted(drafts)]
    return Prepared(_numbers(at_us), lanes)


class _Draft:
    """A lane that is being made."""

    def __init__(self, qos: int, file: IO[bytes], run_bytes: int) -> None:
        self._qos = qos
        self._file = file
        self._run_bytes = run_bytes
        self._run = bytearray()
        self._run_first = 0
        self._starts = array("q")
        self._ends = array("q")
        self._id_places = array("q")
        self._messages = array("q")

    def add(self, number: int, message: Captured) -> None:
        packet = message.packet(self._qos)
        self._starts.append(len(self._run))
        self._run += packet
        self._ends.append(len(self._run))
        self._messages.append(number)
        if self._qos:
            self._id_places.append(_header_bytes(packet) + 2 + len(message.topic.encode()))

        if len(self._run) >= self._run_bytes:
            self.flush()

    def flush(self) -> None:
        """Append the run to the file."""
        at = self._file.tell()
        for column in (self._starts, self._ends):
            for place in range(self._run_first, len(column)):
                column[place] += at
        self._run_first = len(self._starts)
        view = memoryview(bytes(self._run))
        self._run.clear()
        while view:
            view = view[self._file.write(view) :]

    def finished(self, data: NDArray[np.uint8], rounds: int) -> PreparedLane:
        return PreparedLane(
            data,
            starts=_numbers(self._starts),
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
