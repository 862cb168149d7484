"""Parses what a broker sends to a publisher, which is PUBACKs for the most part."""

from typing import NamedTuple

import mqtt5
import numpy as np

from penstock_simulator.fleet import Numbers

_PUBACK = 0x40
_PUBACK_BYTES = 4
_FIRST_FAILURE = 0x80
"""Reason codes from here on are failures (MQTT 5 §2.4)."""
_SUCCESSES = (
    mqtt5.PubAckReasonCode.SUCCESS,
    mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS,
)


class Incoming(NamedTuple):
    """The packets of one read, sorted."""

    acknowledged: Numbers
    """Packet ids that the broker has taken."""
    refused: Numbers
    """Packet ids that it has answered with a reason of failure."""
    others: list[mqtt5.Packet]
    rest: bytes
    """The beginning of a packet that is not complete yet."""


def lone_puback(data: bytes) -> int | None:
    """The packet id, when the broker sent one PUBACK that is a success and nothing else.

    That is what a connection with little traffic reads, and thousands of those add up.
    """
    if len(data) < _PUBACK_BYTES or data[0] != _PUBACK or data[1] != len(data) - 2:
        return None
    if len(data) > _PUBACK_BYTES and data[4] >= _FIRST_FAILURE:
        return None
    return data[2] << 8 | data[3]


def parse(data: bytes) -> Incoming:
    """Take whole packets off the start of `data`.

    PUBACKs without a reason, which are all alike but for the packet id (MQTT 5 §3.4.2), are read
    all at once as far as they reach; the codec reads the others.

    Raises:
        ValueError: a packet is not MQTT 5.
    """
    whole = len(data) - len(data) % _PUBACK_BYTES
    rows = np.frombuffer(data, dtype=np.uint8, count=whole).reshape(-1, _PUBACK_BYTES)
    plain = (rows[:, 0] == _PUBACK) & (rows[:, 1] == 2)
    count = len(rows) if plain.all() else int(plain.argmin())
    ids = rows[:count, 2].astype(np.int64) << 8 | rows[:count, 3]
    if count * _PUBACK_BYTES == len(data):
        return Incoming(ids, ids[:0], [], b"")
    return _parse_by_codec(ids, memoryview(data)[count * _PUBACK_BYTES :])


def _parse_by_codec(ids: Numbers, view: memoryview) -> Incoming:
    acknowledged: list[int] = []
    refused: list[int] = []
    others: list[mqtt5.Packet] = []
    while True:
        try:
            packet, used = mqtt5.read(view)
        except IndexError:  # the packet is not complete yet
            break
        view = view[used:]
        if not isinstance(packet, mqtt5.PubAckPacket):
            others.append(packet)
        elif packet.reason_code in _SUCCESSES:
            acknowledged.append(packet.packet_id)
        else:
            refused.append(packet.packet_id)
    more = np.array(acknowledged, dtype=np.int64)
    return Incoming(
        np.concatenate([ids, more]), np.array(refused, dtype=np.int64), others, bytes(view)
    )
