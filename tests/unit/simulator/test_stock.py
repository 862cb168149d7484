"""Packets are the same whether a lane encodes its own or many are encoded together."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.fleet import Fleet
from penstock_simulator.lane import Lane
from penstock_simulator.packets import encoder_of
from penstock_simulator.stock import stock_up
from tests.support.fleets import fleets


@given(fleets(), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_what_was_encoded_together_is_sent_as_if_it_had_not(
    fleet: Fleet, rounds: Sequence[int]
) -> None:
    numbers = range(min(fleet.lanes, 4))
    together = [Lane.of(fleet, number, block_bytes=1) for number in numbers]
    alone = [Lane.of(fleet, number) for number in numbers]
    for count in rounds:
        stock_up(encoder_of(fleet), together, [lane.sent + count for lane in together])
        assert not any(lane.empty for lane in together)
        for one, other in zip(together, alone, strict=True):
            assert sent_by(one, count) == sent_by(other, count)


def sent_by(lane: Lane, count: int) -> bytes:
    data, stop = b"", lane.sent + count
    while lane.sent < stop:
        data += lane.take(stop - lane.sent, 1)
    return data


def test_a_lane_that_has_packets_keeps_them() -> None:
    fleet = Fleet(seed=1, start_us=10**15, step_us=1_000, lanes=2)
    full, empty = Lane.of(fleet, 0), Lane.of(fleet, 1)
    full.take(1, 1)
    assert (full.empty, empty.empty) == (False, True)
    stock_up(encoder_of(fleet), [full, empty], [5, 5])
    full.take(100, 2)
    assert full.ledger.sent_us.tolist() == [1] + [2] * 100


def test_a_backlog_is_encoded_in_one_go() -> None:
    fleet = Fleet(seed=1, start_us=10**15, step_us=1_000, lanes=2)
    lane = Lane.of(fleet, 0, block_bytes=1)
    stock_up(encoder_of(fleet), [lane], [300])
    lane.take(300, 1)
    assert lane.sent == 300


def test_what_is_encoded_at_a_time_is_bounded_by_its_bytes() -> None:
    fleet = Fleet(seed=1, start_us=10**15, step_us=1_000_000, shape="readings", batch=200)
    lane = Lane.of(fleet, 0)
    assert encoder_of(fleet).packet_bytes > 10_000
    assert 10 < lane.block_size(5_000) * encoder_of(fleet).packet_bytes / 10_000 < 120
    assert Lane.of(fleet, 0, block_bytes=1).block_size(1) < lane.block_size(1)
