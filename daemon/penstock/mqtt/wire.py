"""The parts of MQTT 5's wire format that the codec leaves to us: framing, salvage, PUBACKs.

The `mqtt5` codec says "not enough bytes" without saying how many it needs, and refuses a PUBLISH
whose text is not UTF-8 although its framing is sound. This module finds where a packet ends and
takes the message out of one that the codec refuses. It is pure, and never reads beyond what it was
given.
"""

from collections.abc import Sequence
from typing import NamedTuple

import mqtt5
import msgspec
import numpy as np

from penstock.errors import PenstockError

LARGEST_REMAINING_BYTES = 268_435_455
"""The highest remaining length, hence the longest payload (MQTT 5 §2.1.4)."""

_PUBLISH_TYPE = 3


class MalformedPacketError(PenstockError):
    """What was received is not MQTT 5; the text says in what."""


class PlainMessage(msgspec.Struct, gc=False, frozen=True):
    """A `penstock.model.Message` that is not the codec's own object.

    Bytes of the topic that are no UTF-8 stand as U+FFFD, which no valid name contains.
    """

    topic: str
    payload: bytes
    packet_id: int | None
    correlation_data: bytes | None = None


def is_codec_verdict(error: BaseException) -> bool:
    """Whether the codec raised this because it refuses a packet.

    On text that is not UTF-8 it panics, which is no `Exception` and has no importable class.
    """
    return isinstance(error, ValueError) or type(error).__module__ == "pyo3_runtime"


def read_control(packet: memoryview) -> mqtt5.Packet:
    """Decode one whole packet; one that the codec refuses is a `MalformedPacketError`."""
    try:
        return mqtt5.read(packet)[0]
    except IndexError:
        raise MalformedPacketError("its content ends before it should") from None
    except BaseException as error:
        if not is_codec_verdict(error):
            raise
        raise MalformedPacketError(str(error)) from None


def read_warily(view: memoryview) -> tuple[mqtt5.Packet, int]:
    """As `mqtt5.read`, but a PUBLISH whose text is not UTF-8 is a `ValueError` and no panic."""
    packet = whole_publish(view)
    if packet is not None and not _is_text(packet):
        raise ValueError("text that is not UTF-8")
    return mqtt5.read(view)


def whole_publish(view: memoryview) -> memoryview | None:
    """The packet at the beginning of `view`, if it is a PUBLISH and all of it is there."""
    if view[0] >> 4 != _PUBLISH_TYPE:
        return None
    try:
        size = packet_bytes(view)
    except MalformedPacketError:
        return None
    return None if size is None or size > len(view) else view[:size]


def is_exactly_once(publish: memoryview) -> bool:
    """Whether a PUBLISH has QoS 2."""
    return publish[0] >> 1 & 3 == 2


def packet_bytes(view: memoryview) -> int | None:
    """Length of the packet that begins `view`, header included; `None` when too short to tell.

    A remaining length of more than four bytes is a `MalformedPacketError` (MQTT 5 §1.5.5).
    """
    length = _variable_integer(view, 1)
    return None if length is None else length.end + length.value


def cut(beginning: bytes, largest_payload_bytes: int) -> bytes:
    """A PUBLISH with no more than so much payload, made from the beginning of a longer one.

    A beginning that has less of the payload loses all of it: half a number must not pass for one.
    """
    layout = _layout(memoryview(beginning))
    end = len(beginning) if layout is None else layout.payload + largest_payload_bytes
    if layout is not None and end > len(beginning):
        end = layout.payload
    start = _after_header(memoryview(beginning))
    body = beginning[start:end]
    return beginning[:1] + _encode_variable_integer(len(body)) + body


def salvage(packet: memoryview) -> PlainMessage | None:
    """Take the message out of one whole PUBLISH that the codec refuses.

    Properties that run past the end of the packet leave an empty payload. `None` when there is no
    topic, no packet identifier where one is due, or the QoS is 3.
    """
    layout = _layout(packet)
    if layout is None:
        return None
    identifier = packet[layout.topic_end : layout.properties]
    return PlainMessage(
        topic=str(packet[layout.topic : layout.topic_end], "utf-8", "replace"),
        payload=bytes(packet[layout.payload :]),
        packet_id=int.from_bytes(identifier) if identifier else None,
    )


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """One PUBACK with reason "success" for each identifier, in this order (MQTT 5 §3.4).

    Identifier 0, which no PUBLISH may have [MQTT-2.2.1-3], is a `MalformedPacketError`.
    """
    identifiers = np.asarray(packet_ids, dtype=np.uint32)
    if not identifiers.all():
        raise MalformedPacketError("a PUBLISH with packet identifier 0")
    return (identifiers | np.uint32(0x40020000)).astype(">u4").tobytes()


def _is_text(packet: memoryview) -> bool:
    """Whether all that stands before the payload of a whole PUBLISH decodes as UTF-8.

    Cautious: binary properties can fail this although each string among them is valid.
    """
    layout = _layout(packet)
    if layout is None:
        return False
    try:
        str(packet[layout.topic : layout.payload], "utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _VariableInteger(NamedTuple):
    value: int
    end: int
    """Position of the first byte after it."""


class _Layout(NamedTuple):
    """Where the parts of a PUBLISH begin (MQTT 5 §3.3)."""

    topic: int
    topic_end: int
    properties: int
    payload: int


def _after_header(packet: memoryview) -> int:
    length = _variable_integer(packet, 1)
    assert length is not None, "the header is whole"
    return length.end


def _layout(packet: memoryview) -> _Layout | None:
    """Find the parts of a whole PUBLISH; `None` when its topic or packet identifier is cut off."""
    remaining = _variable_integer(packet, 1)
    qos = packet[0] >> 1 & 3
    if remaining is None or qos == 3:
        return None
    topic = remaining.end + 2
    topic_end = topic + int.from_bytes(packet[remaining.end : topic])
    properties = topic_end + (2 if qos else 0)
    if properties > len(packet):
        return None
    try:
        length = _variable_integer(packet, properties)
    except MalformedPacketError:
        length = None
    return _Layout(topic, topic_end, properties, sum(length) if length else len(packet))


def _variable_integer(view: memoryview, start: int) -> _VariableInteger | None:
    """Decode a variable byte integer (MQTT 5 §1.5.5); `None` when it is not whole."""
    value = 0
    for place, byte in enumerate(view[start : start + 4]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return _VariableInteger(value, start + place + 1)
    if len(view) >= start + 4:
        raise MalformedPacketError("a variable byte integer has more than four bytes")
    return None


def _encode_variable_integer(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
