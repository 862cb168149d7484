"""A lane respects the broker's window, and sends again what was not acknowledged."""

import mqtt5
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.fleet import Fleet
from penstock_simulator.lane import Lane
from penstock_simulator.ledger import ACKNOWLEDGED, REFUSED, WAITING

WINDOW = 20


def lane_with(*, qos: int = 1, malformed_every: int = 0, window: int = WINDOW) -> Lane:
    fleet = Fleet(
        seed=3, start_us=10**15, step_us=1_000, lanes=2, qos=qos, malformed_every=malformed_every
    )
    lane = Lane.of(fleet, 0)
    lane.connected(window)
    return lane


def packets_of(data: bytes | memoryview) -> list[mqtt5.PublishPacket]:
    view, packets = memoryview(data), []
    while view:
        packet, used = mqtt5.read(view)
        assert isinstance(packet, mqtt5.PublishPacket)
        packets.append(packet)
        view = view[used:]
    return packets


def ids_of(data: bytes | memoryview) -> list[int]:
    return [packet.packet_id or 0 for packet in packets_of(data)]


def acknowledge(lane: Lane, *ids: int) -> None:
    lane.acknowledge(np.array(ids, dtype=np.int64), 7)


def test_no_more_is_sent_than_the_broker_takes() -> None:
    lane = lane_with()
    assert ids_of(lane.take(lane.room, 1)) == list(range(1, WINDOW + 1))
    assert lane.room == 0
    acknowledge(lane, 1, 2)
    assert lane.room == 2
    assert ids_of(lane.take(lane.room, 2)) == [WINDOW + 1, WINDOW + 2]


def test_an_acknowledgement_out_of_order_is_noted_but_frees_no_older_slot() -> None:
    lane = lane_with()
    lane.take(5, 1)
    acknowledge(lane, 3)
    assert lane.waiting == 5
    acknowledge(lane, 2, 1)
    assert lane.waiting == 2
    assert lane.ledger.outcome.tolist() == [ACKNOWLEDGED] * 3 + [WAITING] * 2


@given(st.lists(st.integers(1, WINDOW + 5)), st.booleans())
def test_one_acknowledgement_at_a_time_is_as_good_as_many(ids: list[int], again: bool) -> None:
    many, singly = lane_with(), lane_with()
    for lane in (many, singly):
        lane.take(WINDOW, 1)
        if again:
            lane.connected(WINDOW)
    acknowledge(many, *dict.fromkeys(ids))
    for packet_id in ids:
        singly.acknowledge_one(packet_id, 7)
    assert singly.ledger.outcome.tolist() == many.ledger.outcome.tolist()
    assert singly.ledger.answered_us.tolist() == many.ledger.answered_us.tolist()
    assert (singly.waiting, singly.room, singly.to_repeat) == (
        many.waiting,
        many.room,
        many.to_repeat,
    )


def test_the_time_of_the_first_answer_is_kept() -> None:
    lane = lane_with()
    lane.take(3, 1)
    lane.acknowledge(np.array([2]), 50)
    lane.acknowledge(np.array([2]), 60)
    lane.acknowledge_one(2, 70)
    lane.refuse(np.array([2]), 80)
    assert lane.ledger.answered_us.tolist() == [0, 50, 0]
    assert lane.ledger.outcome.tolist() == [WAITING, ACKNOWLEDGED, WAITING]
    assert lane.refused == 0


def test_acknowledgements_of_what_is_not_in_flight_are_ignored() -> None:
    lane = lane_with()
    lane.take(2, 1)
    acknowledge(lane, 900)
    assert lane.waiting == 2
    assert not lane.ledger.outcome.any()


def test_a_refused_message_is_settled_and_counted() -> None:
    lane = lane_with()
    lane.take(2, 1)
    lane.refuse(np.array([1]), 7)
    assert (lane.refused, lane.waiting) == (1, 1)
    assert lane.ledger.outcome.tolist() == [REFUSED, WAITING]


@pytest.mark.parametrize("malformed_every", [0, 4])
def test_unacknowledged_packets_go_out_again_before_new_ones(malformed_every: int) -> None:
    lane = lane_with(malformed_every=malformed_every)
    before = packets_of(lane.take(10, 1))
    acknowledge(lane, 1, 2, 5)
    lane.connected(WINDOW)
    assert lane.to_repeat == 8
    again = packets_of(lane.repeat())
    assert [packet.packet_id for packet in again] == [3, 4, 6, 7, 8, 9, 10]
    assert all(packet.duplicate for packet in again)
    payloads = {packet.packet_id: packet.payload for packet in before}
    assert all(packet.payload == payloads[packet.packet_id] for packet in again)
    assert lane.to_repeat == 0
    assert ids_of(lane.take(1, 2)) == [11]


def test_a_smaller_window_holds_for_what_is_sent_again_too() -> None:
    lane = lane_with()
    lane.take(10, 1)
    lane.connected(4)
    assert ids_of(lane.repeat()) == [1, 2, 3, 4]
    assert (lane.repeat(), lane.room) == (b"", 0)
    acknowledge(lane, 1, 2, 3, 4)
    assert ids_of(lane.repeat()) == [5, 6, 7, 8]


def test_the_time_of_the_first_sending_is_kept() -> None:
    lane = lane_with()
    lane.take(2, 111)
    lane.connected(WINDOW)
    lane.repeat()
    assert lane.ledger.sent_us.tolist() == [111, 111]


def test_at_qos_0_nothing_waits_and_nothing_is_repeated() -> None:
    lane = lane_with(qos=0)
    assert len(packets_of(lane.take(500, 1))) == 500
    lane.connected(1)
    assert (lane.waiting, lane.to_repeat) == (0, 0)
    assert lane.room > WINDOW


@given(st.data())
def test_ids_in_flight_are_never_reused(data: st.DataObject) -> None:
    lane = lane_with(window=65_535)
    lane.ledger.append(65_500, 0)

    lane.acknowledge(np.arange(1, 65_501), 7)
    in_flight: set[int] = set()
    for _ in range(20):
        sent = ids_of(lane.take(data.draw(st.integers(1, min(30, lane.room))), 1))
        assert in_flight.isdisjoint(sent)
        in_flight.update(sent)
        settled = data.draw(st.lists(st.sampled_from(sorted(in_flight)), unique=True))
        acknowledge(lane, *settled)
        in_flight.difference_update(settled)
        assert np.flatnonzero(lane.ledger.outcome == WAITING).size == len(in_flight)
