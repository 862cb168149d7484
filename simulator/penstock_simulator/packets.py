"""Encodes PUBLISH packets, many at a time.

Packets of a fleet differ only in names, packet ids and values, and are all equally long. So a
block of them is a matrix of bytes: rows are copied from a template for each device, which the
codec made, and numpy writes the values into their columns. That costs a few microseconds a message
at most, and leaves the machine to what is being measured.

What always holds: the packets of a slot are the same whenever they are encoded, apart from the
DUP flag, so nothing has to be kept for sending it again.
"""

from functools import lru_cache
from typing import NamedTuple

import mqtt5
import numpy as np
from numpy.typing import NDArray

from penstock_simulator import abuse
from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.identity import keys_of
from penstock_simulator.numbering import abuse_devices, is_abuse, places
from penstock_simulator.shapes import Entry, layouts, qualities
from penstock_simulator.signals import Moment
from penstock_simulator.timing import timestamp_us, timestamps_us

PACKET_IDS = 65_535

_DUP_FLAG = 0x08


class Block(NamedTuple):
    """Consecutive packets of a lane."""

    first: int
    """Slot of the first packet."""
    data: bytes
    ends: Numbers
    """Where each packet ends in `data`."""

    @property
    def stop(self) -> int:
        """The slot after the last packet's."""
        return self.first + len(self.ends)

    def cut(self, start: int, stop: int) -> memoryview:
        """The packets of slots `start` to `stop`, which must lie within the block."""
        begin = int(self.ends[start - self.first - 1]) if start > self.first else 0
        return memoryview(self.data)[begin : int(self.ends[stop - self.first - 1])]


class FleetEncoder:
    """Encodes the messages of a fleet, of whichever lanes; lanes share it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._metrics = fleet.reported
        self._layouts = layouts(fleet)
        devices = range(fleet.size)
        self._keys = keys_of(fleet.seed, [(fleet.tenant(d), fleet.device(d)) for d in devices])
        self._templates = self._encode_templates()
        self.payload_bytes = len(self._layouts[0].blank)
        """Length of the payload of a well-formed message; of the first metric's, if they differ."""
        self._payload_starts = [self.packet_bytes - len(layout.blank) for layout in self._layouts]

    @property
    def packet_bytes(self) -> int:
        """Length of the PUBLISH packet of a well-formed message, as the publisher sends it."""
        return int(self._templates.shape[1])

    def encode(
        self, lanes: Numbers, slots: Numbers, *, duplicate: bool = False
    ) -> tuple[bytes, Numbers]:
        """The packets of some slots of some lanes, in that order, and where each of them ends.

        `lanes` is as long as `slots`, or a single one. With `duplicate`, they are encoded as sent
        again (MQTT 5 §3.3.1.1).
        """
        abused = is_abuse(self._fleet, slots)
        if not abused.any():
            rows = self._encode_well_formed(lanes, slots, duplicate=duplicate)
            ends = np.arange(1, len(slots) + 1, dtype=np.int64) * self.packet_bytes
            return rows.tobytes(), ends
        lanes = np.broadcast_to(lanes, slots.shape)
        rows = self._encode_well_formed(lanes[~abused], slots[~abused], duplicate=duplicate)
        abuses = [
            self._encode_abuse(lane, slot, duplicate=duplicate)
            for lane, slot in zip(lanes[abused].tolist(), slots[abused].tolist(), strict=True)
        ]
        return _spliced(rows, abused, abuses)

    def _encode_well_formed(
        self, lanes: Numbers, slots: Numbers, *, duplicate: bool
    ) -> NDArray[np.uint8]:
        device, message = places(self._fleet, lanes, slots)
        if self._fleet.variants == 1:
            rows: NDArray[np.uint8] = self._templates[device]
            self._fill(rows, 0, device, message * self._fleet.batch)
        else:
            turn = message // self._fleet.variants
            variant = message - turn * self._fleet.variants
            rows = self._templates[variant * self._fleet.size + device]
            for number in range(self._fleet.variants):
                here = np.flatnonzero(variant == number)
                some = rows[here]
                self._fill(some, number, device[here], turn[here])
                rows[here] = some
        if duplicate:
            rows[:, 0] |= _DUP_FLAG
        if self._fleet.qos:
            self._put_packet_ids(rows, slots, message)
        return rows

    def _fill(
        self, rows: NDArray[np.uint8], variant: int, device: Numbers, sequence: Numbers
    ) -> None:
        payloads, layout = rows[:, self._payload_starts[variant] :], self._layouts[variant]
        if layout.size > 1:
            device = np.repeat(device, layout.size)
            sequence = (sequence[:, np.newaxis] + np.arange(layout.size)).reshape(-1)
        readings = layout.readings(payloads)
        ts_us = timestamps_us(self._fleet, device, sequence)
        self._fill_entry(readings, layout.entry, Moment(self._keys[device], sequence, ts_us))
        layout.put_back(payloads, readings)

    def _fill_entry(self, readings: NDArray[np.uint8], entry: Entry, moment: Moment) -> None:
        if entry.clock is not None:
            entry.clock.fill(readings, moment.ts_us)
        for metric, hole in entry.values:
            hole.fill(readings, self._metrics[metric].signal.at(moment))
        for metric, hole in entry.qualities:
            hole.fill(readings, qualities(moment, metric))

    def _put_packet_ids(self, rows: NDArray[np.uint8], slots: Numbers, message: Numbers) -> None:
        ids = packet_ids(slots)
        # The packet id, a zero for "no properties", and the payload end the packet (§3.3.2).
        at = np.array(self._payload_starts)[message % self._fleet.variants] - 3
        every = np.arange(len(rows))
        rows[every, at] = ids >> 8
        rows[every, at + 1] = ids & 0xFF

    def _encode_abuse(self, lane: int, slot: int, *, duplicate: bool) -> bytes:
        fleet = self._fleet
        number = slot // fleet.malformed_every
        device = int(abuse_devices(fleet, np.array(lane), np.array(number)))
        kind = abuse.abuse_of(fleet, lane, number)
        ts_us = timestamp_us(fleet, device, slot // (fleet.size // fleet.lanes))
        return _publish(
            fleet,
            kind.topic(fleet, device, lane, number),
            kind.build(fleet, abuse.marker(fleet.tag, lane, number), ts_us),
            packet_id=slot % PACKET_IDS + 1,
            duplicate=duplicate,
        )

    def _encode_templates(self) -> NDArray[np.uint8]:
        packets = [
            _publish(self._fleet, self._fleet.topic_of(device, variant), layout.blank)
            for variant, layout in enumerate(self._layouts)
            for device in range(self._fleet.size)
        ]
        joined = np.frombuffer(b"".join(packets), dtype=np.uint8)
        return joined.reshape(len(packets), len(packets[0]))


class LaneEncoder:
    """Encodes one lane of a fleet."""

    def __init__(self, fleet: Fleet, lane: int) -> None:
        self._encoder = encoder_of(fleet)
        self._lane = np.array(lane, dtype=np.int64)

    @property
    def packet_bytes(self) -> int:
        """Length of the PUBLISH packet of a well-formed message, as the publisher sends it."""
        return self._encoder.packet_bytes

    @property
    def payload_bytes(self) -> int:
        """Length of the payload of a well-formed message."""
        return self._encoder.payload_bytes

    def block(self, first: int, stop: int, *, duplicate: bool = False) -> Block:
        """Encode slots `first` to `stop`; with `duplicate`, as sent again."""
        slots = np.arange(first, stop, dtype=np.int64)
        return Block(first, *self._encoder.encode(self._lane, slots, duplicate=duplicate))


@lru_cache(maxsize=32)
def encoder_of(fleet: Fleet) -> FleetEncoder:
    """The encoder that all lanes of a fleet share."""
    return FleetEncoder(fleet)


def packet_ids(slots: Numbers) -> Numbers:
    """The packet ids of slots: they go round, so an id in flight names one slot."""
    return slots % PACKET_IDS + 1


def _spliced(
    rows: NDArray[np.uint8], abused: NDArray[np.bool_], abuses: list[bytes]
) -> tuple[bytes, Numbers]:
    """Well-formed packets with abuses between them."""
    pieces: list[bytes] = []
    lengths = np.full(len(abused), rows.shape[1], dtype=np.int64)
    taken = 0
    for count, (at, packet) in enumerate(zip(np.flatnonzero(abused).tolist(), abuses, strict=True)):
        lengths[at] = len(packet)
        pieces += (rows[taken : at - count].tobytes(), packet)
        taken = at - count
    pieces.append(rows[taken:].tobytes())
    return b"".join(pieces), np.cumsum(lengths)


def _publish(
    fleet: Fleet, topic: str, payload: bytes, *, packet_id: int = 1, duplicate: bool = False
) -> bytes:
    return mqtt5.PublishPacket(
        topic,
        payload,
        qos=mqtt5.QoS(fleet.qos),
        packet_id=packet_id if fleet.qos else None,
        duplicate=duplicate,
    ).write()
