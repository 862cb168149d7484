import mqtt5
from hypothesis import given
from hypothesis import strategies as st

from tests.support.redeliveries import Redeliveries


def publish(*, again: bool, payload: bytes = b"x") -> bytes:
    return mqtt5.PublishPacket(
        "a", payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1, duplicate=again
    ).write()


packets = st.lists(
    st.one_of(
        st.builds(publish, again=st.booleans(), payload=st.sampled_from([b"", b"x" * 300])),
        st.just(mqtt5.PingRespPacket().write()),
        # Its first byte has the bit that is the DUP flag of a PUBLISH.
        st.just(bytes([0xF8, 0])),
    ),
    max_size=8,
)


@given(packets, st.integers(1, 400))
def test_what_comes_again_is_counted_however_it_is_sliced(
    stream: list[bytes], slice_bytes: int
) -> None:
    redeliveries = Redeliveries()
    see = redeliveries.watch()
    data = b"".join(stream)
    for start in range(0, len(data), slice_bytes):
        see(data[start : start + slice_bytes])
    assert redeliveries.count == sum(packet[0] == 0x3A for packet in stream)


def test_connections_do_not_mix() -> None:
    redeliveries = Redeliveries()
    one, other = redeliveries.watch(), redeliveries.watch()
    packet = publish(again=True)
    one(packet[:3])
    other(packet)
    assert redeliveries.count == 1
    one(packet[3:])
    assert redeliveries.count == 2
