"""Encodes the PUBLISH packets of a lane, many at a time.

Packets of a fleet differ only in names, packet ids and digits, and are all equally long. So a
block of them is a matrix of bytes: rows are copied from a template for each device, which the
codec made, and numpy writes the digits into their columns. That costs a fraction of a microsecond
a message, and leaves the machine to what is being measured.

What always holds: the packets of a slot are the same whenever they are encoded, apart from the
DUP flag, so nothing has to be kept for sending it again.
"""

from typing import NamedTuple

import mqtt5
import numpy as np
from numpy.typing import NDArray

from penstock_simulator import abuse
from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.identity import keys_of
from penstock_simulator.signals import signal_of, thousandths

PACKET_IDS = 65_535

_TIMESTAMP_DIGITS = 16
_DUP_FLAG = 0x08
_ZERO = ord("0")


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


class LaneEncoder:
    """Encodes one lane of a fleet."""

    def __init__(self, fleet: Fleet, lane: int) -> None:
        self._fleet = fleet
        self._lane = lane
        self._devices = fleet.lane_devices(lane)
        self._signals = [signal_of(metric) for metric in fleet.metric_names]
        self._keys = [
            keys_of(
                fleet.seed,
                [(fleet.tenant(d), fleet.device(d), metric) for d in self._devices.tolist()],
            )
            for metric in fleet.metric_names
        ]
        payload, self._fields = _payload_template(fleet)
        self._templates = self._encode_templates(payload)
        self._payload_start: int = self._templates.shape[1] - len(payload)

    @property
    def packet_bytes(self) -> int:
        """Length of the PUBLISH packet of an envelope, as the publisher sends it."""
        return int(self._templates.shape[1])

    @property
    def payload_bytes(self) -> int:
        """Length of the payload of an envelope."""
        return self.packet_bytes - self._payload_start

    def block(self, first: int, stop: int, *, duplicate: bool = False) -> Block:
        """Encode slots `first` to `stop`; with `duplicate`, as sent again (MQTT 5 §3.3.1.1)."""
        slots = np.arange(first, stop, dtype=np.int64)
        malformed = self._fleet.is_malformed(slots)
        rows = self._encode_envelopes(slots[~malformed], duplicate=duplicate)
        if not malformed.any():
            ends = np.arange(1, len(slots) + 1, dtype=np.int64) * self.packet_bytes
            return Block(first, rows.tobytes(), ends)
        return self._spliced(slots, malformed, rows, duplicate=duplicate)

    def _encode_envelopes(self, slots: Numbers, *, duplicate: bool) -> NDArray[np.uint8]:
        envelopes = slots - self._fleet.malformed_before(slots)
        positions = envelopes % len(self._devices)
        sequence = envelopes // len(self._devices)
        ts_us = self._fleet.timestamps_us(self._devices[positions], sequence)
        rows: NDArray[np.uint8] = self._templates[positions]
        if duplicate:
            rows[:, 0] |= _DUP_FLAG
        if self._fleet.qos:
            self._put_packet_ids(rows, slots)
        payload = rows[:, self._payload_start :]
        _put_digits(payload, self._fields[0], ts_us)
        for field, signal, keys in zip(self._fields[1:], self._signals, self._keys, strict=True):
            value = thousandths(signal, keys[positions], sequence, ts_us)
            _put_digits(payload, slice(field.start, field.stop - 4), value // 1_000)
            _put_digits(payload, slice(field.stop - 3, field.stop), value % 1_000)
        return rows

    def _put_packet_ids(self, rows: NDArray[np.uint8], slots: Numbers) -> None:
        ids = packet_ids(slots)
        # The packet id, a zero for "no properties", and the payload end the packet (§3.3.2).
        at = self._payload_start - 3
        rows[:, at] = ids >> 8
        rows[:, at + 1] = ids & 0xFF

    def _spliced(
        self,
        slots: Numbers,
        malformed: NDArray[np.bool_],
        rows: NDArray[np.uint8],
        *,
        duplicate: bool,
    ) -> Block:
        pieces: list[bytes] = []
        lengths = np.full(len(slots), self.packet_bytes, dtype=np.int64)
        taken = 0
        for count, at in enumerate(np.flatnonzero(malformed).tolist()):
            packet = self._encode_malformed(int(slots[at]), duplicate=duplicate)
            lengths[at] = len(packet)
            pieces += (rows[taken : at - count].tobytes(), packet)
            taken = at - count
        pieces.append(rows[taken:].tobytes())
        return Block(int(slots[0]), b"".join(pieces), np.cumsum(lengths))

    def _encode_malformed(self, slot: int, *, duplicate: bool) -> bytes:
        fleet = self._fleet
        number = slot // fleet.malformed_every
        device = int(self._devices[number % len(self._devices)])
        kind = abuse.abuse_of(fleet.seed, self._lane, number)
        topic = fleet.topic_of(device)
        if kind.device is not None:
            topic = topic.replace(fleet.device(device), kind.device)
        ts_us = fleet.timestamp_us(device, slot // len(self._devices))
        payload = kind.build(abuse.marker(fleet.tag, self._lane, number), ts_us)
        packet_id = slot % PACKET_IDS + 1
        return _publish(fleet, topic, payload, packet_id=packet_id, duplicate=duplicate)

    def _encode_templates(self, payload: bytes) -> NDArray[np.uint8]:
        packets = [
            _publish(self._fleet, self._fleet.topic_of(device), payload)
            for device in self._devices.tolist()
        ]
        joined = np.frombuffer(b"".join(packets), dtype=np.uint8)
        return joined.reshape(len(packets), len(packets[0]))


def packet_ids(slots: Numbers) -> Numbers:
    """The packet ids of slots: they go round, so an id in flight names one slot."""
    return slots % PACKET_IDS + 1


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


def _payload_template(fleet: Fleet) -> tuple[bytes, list[slice]]:
    """An envelope with zeros for digits, and where the timestamp and the values stand in it."""
    text = '{"ts":'
    fields = [slice(len(text), len(text) + _TIMESTAMP_DIGITS)]
    text += "0" * _TIMESTAMP_DIGITS + ',"metrics":{'
    for number, metric in enumerate(fleet.metric_names):
        text += f'{"," if number else ""}"{metric}":'
        width = signal_of(metric).digits + 1
        fields.append(slice(len(text), len(text) + width))
        text += "0" * (width - 4) + ".000"
    return (text + "}}").encode(), fields


def _put_digits(rows: NDArray[np.uint8], columns: slice, numbers: Numbers) -> None:
    powers = 10 ** np.arange(columns.stop - columns.start - 1, -1, -1, dtype=np.int64)
    rows[:, columns] = numbers[:, np.newaxis] // powers % 10 + _ZERO
