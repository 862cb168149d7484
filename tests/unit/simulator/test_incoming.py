"""Whatever a broker sends is parsed alike in one piece or in many."""

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.incoming import lone_puback, parse

PLAIN = mqtt5.PubAckReasonCode.SUCCESS
NOBODY = mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
QUOTA = mqtt5.PubAckReasonCode.QUOTA_EXCEEDED

answers = st.lists(st.tuples(st.integers(1, 65_535), st.sampled_from([PLAIN, NOBODY, QUOTA])))


@given(answers, st.integers(1, 50))
def test_acknowledgements_are_sorted_however_they_are_cut(
    sent: list[tuple[int, mqtt5.PubAckReasonCode]], size: int
) -> None:
    data = b"".join(mqtt5.PubAckPacket(i, reason_code=code).write() for i, code in sent)
    acknowledged: list[int] = []
    refused: list[int] = []
    rest = b""
    for start in range(0, len(data), size):
        incoming = parse(rest + data[start : start + size])
        rest = incoming.rest
        acknowledged += incoming.acknowledged.tolist()
        refused += incoming.refused.tolist()
    assert rest == b""
    assert acknowledged == [i for i, code in sent if code != QUOTA]
    assert refused == [i for i, code in sent if code == QUOTA]


@given(st.integers(1, 65_535), st.sampled_from([PLAIN, NOBODY]))
def test_a_lone_success_is_known_at_sight(
    packet_id: int, reason_code: mqtt5.PubAckReasonCode
) -> None:
    data = mqtt5.PubAckPacket(packet_id, reason_code=reason_code).write()
    assert lone_puback(data) == packet_id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        mqtt5.PubAckPacket(3).write()[:3],
        mqtt5.PubAckPacket(3).write() * 2,
        mqtt5.PubAckPacket(3, reason_code=QUOTA).write(),
        mqtt5.PingRespPacket().write(),
        mqtt5.ConnAckPacket().write(),
    ],
)
def test_all_else_is_left_to_the_parser(data: bytes) -> None:
    assert lone_puback(data) is None


def test_other_packets_are_handed_on() -> None:
    data = mqtt5.PubAckPacket(3).write() + mqtt5.PingRespPacket().write()
    incoming = parse(data + mqtt5.PubAckPacket(4).write())
    assert incoming.acknowledged.tolist() == [3, 4]
    assert [type(packet) for packet in incoming.others] == [mqtt5.PingRespPacket]


def test_what_is_not_mqtt_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(b"\x00\x00HTTP")
