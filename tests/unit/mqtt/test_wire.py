import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.mqtt import wire
from penstock.mqtt.chunks import Chunks

topics = st.text(st.characters(codec="utf-8", exclude_characters="+#\0"), min_size=1, max_size=50)


@given(
    topic=topics, payload=st.binary(max_size=20_000), packet_id=st.none() | st.integers(1, 65535)
)
def test_salvaging_a_sound_packet_gives_what_the_codec_gives(
    topic: str, payload: bytes, packet_id: int | None
) -> None:
    packet = mqtt5.PublishPacket(
        topic,
        payload,
        qos=mqtt5.QoS(0 if packet_id is None else 1),
        packet_id=packet_id,
        correlation_data=b"\xff\x00",
        user_properties=[("a", "b")],
    ).write()
    message = wire.salvage(memoryview(packet))
    assert message == wire.PlainMessage(topic, payload, packet_id)
    assert wire.packet_bytes(memoryview(packet + b"more")) == len(packet)


@given(data=st.binary(min_size=1, max_size=40))
def test_salvage_and_framing_never_read_beyond_what_they_are_given(data: bytes) -> None:
    view = memoryview(data)
    try:
        size = wire.packet_bytes(view)
    except wire.MalformedPacketError:
        assert all(byte & 0x80 for byte in data[1:5])
        return
    if size is not None and size <= len(data):
        message = wire.salvage(view[:size])
        assert message is None or len(message.payload) < len(data)


@given(ids=st.lists(st.integers(min_value=1, max_value=65535), max_size=3000))
def test_many_acknowledgements_are_encoded_as_the_codec_encodes_each(ids: list[int]) -> None:
    encoded = wire.pubacks(ids)
    assert encoded == b"".join(b"\x40\x02" + number.to_bytes(2) for number in ids)
    if ids:
        packet, size = mqtt5.read(memoryview(encoded))
        assert isinstance(packet, mqtt5.PubAckPacket)
        assert (packet.packet_id, size) == (ids[0], 4)


@pytest.mark.parametrize("length", [127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_a_large_packet_is_joined_once_all_of_it_is_there(length: int) -> None:
    packet = mqtt5.PublishPacket("a", b"x" * length).write()
    chunks = Chunks(wire.LARGEST_REMAINING_BYTES)
    chunks.keep(packet[:1])
    pieces = [packet[start : start + 65_536] for start in range(1, len(packet), 65_536)]
    joined = []
    for piece in pieces:
        data = chunks.joined(piece)
        if data is not None and len(data) < len(packet):  # when the length came to be known
            chunks.keep(data)
        elif data is not None:
            joined.append(data)
    assert joined == [packet]


def test_a_packet_over_the_limit_is_shortened_under_a_header_that_says_so() -> None:
    data = cut_to(1_000, mqtt5.PublishPacket("topic", b"x" * 500_000).write())
    short, size = mqtt5.read(memoryview(data))
    assert isinstance(short, mqtt5.PublishPacket)
    assert (short.topic, short.payload) == ("topic", b"x" * 1_000)
    assert data[size:] == b"next"


@pytest.mark.parametrize("properties_bytes", [131_500, 132_500, 300_000])
def test_a_packet_over_the_limit_for_its_properties_loses_its_payload(
    properties_bytes: int,
) -> None:
    properties = [("a", "b" * 60_000)] * (properties_bytes // 60_000)
    properties.append(("a", "b" * (properties_bytes % 60_000)))
    packet = mqtt5.PublishPacket("topic", b"21.55" * 1_000, user_properties=properties).write()
    data = cut_to(1_000, packet)
    size = wire.packet_bytes(memoryview(data))
    assert size is not None
    short = wire.salvage(memoryview(data)[:size])
    assert short is not None
    assert (short.topic, short.payload) == ("topic", b"")
    assert data[size:] == b"next"


def cut_to(largest_payload_bytes: int, packet: bytes) -> bytes:
    """What comes out when a packet comes in two pieces, with something behind it."""
    chunks = Chunks(largest_payload_bytes)
    chunks.keep(packet[:10])
    assert chunks.joined(packet[10:20_000]) is None
    data = chunks.joined(packet[20_000:] + b"next")
    assert data is not None
    return data


def test_a_packet_that_was_whole_is_not_waited_for() -> None:
    with pytest.raises(wire.MalformedPacketError):
        Chunks(1_000).keep(b"\xd0\x00")
