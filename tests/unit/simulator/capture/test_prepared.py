"""Lanes hold every message once a round, in order, under packet ids that go round."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.capture.message import Captured
from penstock_simulator.capture.prepared import PreparedLane, prepare
from penstock_simulator.lane import Lane
from penstock_simulator.packets import PACKET_IDS
from tests.support.simulated import packets_of

MESSAGES = st.lists(
    st.builds(
        lambda topic, size, qos: (topic, size, qos),
        st.sampled_from(["a", "b/c", "d/é", "x" * 200]),
        st.sampled_from([0, 1, 100, 20_000]),
        st.sampled_from([0, 1]),
    ),
    min_size=1,
    max_size=12,
).map(
    lambda drawn: [
        Captured(at_us=number, topic=topic, text=str(number) + "." * size, qos=qos)
        for number, (topic, size, qos) in enumerate(drawn)
    ]
)


def published(lane: PreparedLane) -> list[tuple[str, bytes]]:
    """What comes out of a lane when it is sent as the broker takes it."""
    sending, packets = Lane(lane, 0, qos=lane.qos, block_bytes=1), []
    sending.connected(PACKET_IDS)
    while sending.sent < lane.slots:
        packets += packets_of(sending.take(lane.slots - sending.sent, 0))
    for slot, packet in enumerate(packets):
        assert packet.packet_id == (slot % PACKET_IDS + 1 if lane.qos else None)
        assert not packet.duplicate
    return [(packet.topic, packet.payload) for packet in packets]


@given(messages=MESSAGES, connections=st.integers(1, 5), rounds=st.integers(1, 3))
def test_each_topic_comes_in_order_in_every_round(
    messages: list[Captured], connections: int, rounds: int
) -> None:
    prepared = prepare(messages, connections=connections, rounds=rounds)
    got: dict[tuple[str, int], list[bytes]] = {}
    for lane in prepared.lanes:
        own = [messages[number] for number in lane.messages]
        assert published(lane) == rounds * [(m.topic, m.payload) for m in own]
        for message in rounds * own:
            assert message.qos == lane.qos
            got.setdefault((message.topic, message.qos), []).append(message.payload)
    assert sum(len(lane.messages) for lane in prepared.lanes) == len(messages)
    for (topic, qos), payloads in got.items():
        due = [m.payload for m in messages if (m.topic, m.qos) == (topic, qos)]
        assert payloads == rounds * due


@given(messages=MESSAGES, rounds=st.integers(1, 3), data=st.data())
def test_what_is_sent_again_is_the_same_but_for_its_flag(
    messages: list[Captured], rounds: int, data: st.DataObject
) -> None:
    (lane,) = prepare(messages, connections=1, rounds=rounds, qos=1).lanes
    first = data.draw(st.integers(0, lane.slots - 1))
    stop = data.draw(st.integers(first + 1, lane.slots))
    block = lane.block(first, stop, duplicate=True)
    for slot, packet in zip(range(first, stop), packets_of(block.data), strict=True):
        message = messages[slot % len(messages)]
        assert (packet.topic, packet.payload) == (message.topic, message.payload)
        assert (packet.packet_id, packet.duplicate) == (slot + 1, True)


def test_packet_ids_go_round() -> None:
    stop = PACKET_IDS + 2
    messages = [Captured(at_us=0, topic="t", text=str(number)) for number in range(3)]
    (lane,) = prepare(messages, connections=1, rounds=stop // 3 + 1, qos=1).lanes
    packets = packets_of(lane.block(PACKET_IDS - 1, stop).data)
    assert [packet.packet_id for packet in packets] == [PACKET_IDS, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_block_of_long_messages_has_few(count: int) -> None:
    messages = [Captured(at_us=0, topic="t", text="." * 100_000) for _ in range(count)]
    (lane,) = prepare(messages, connections=1, rounds=1_000).lanes
    assert [lane.block(slot, 1_000).stop - slot for slot in (0, 1, 999)] == [2, 2, 1]


@contextmanager
def few_files() -> Iterator[None]:
    """Hardly more files may be opened than are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 16, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_thousand_connections_need_no_files_of_their_own() -> None:
    # Long enough for many runs of each lane, and of lanes between them.
    messages = [
        Captured(at_us=number, topic=f"topic/{number % 3_000}", text=f"{number}." * 500, qos=1)
        for number in range(30_000)
    ]
    with few_files():
        prepared = prepare(messages, connections=1_000)
    assert len(prepared.lanes) > 900
    assert sum(len(lane.messages) for lane in prepared.lanes) == len(messages)
    for lane in prepared.lanes:
        own = [messages[number] for number in lane.messages]
        assert published(lane) == [(m.topic, m.payload) for m in own]
        again = packets_of(lane.block(0, lane.slots, duplicate=True).data)
        assert [packet.payload for packet in again] == [m.payload for m in own]


def test_there_has_to_be_a_message() -> None:
    with pytest.raises(ValueError, match="no message"):
        prepare([], connections=1)
