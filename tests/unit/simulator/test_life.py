"""Who goes away and when is decided by the seed."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.life import Births, Cut, Departure, Life

LANES = np.arange(2_000)
SEEDS = st.integers(0, 0xFFFFFFFF)


def departures(life: Life, count: int, seed: int = 5) -> list[Departure]:
    return list(itertools.islice(life.departures(seed, LANES), count))


def test_a_cut_takes_its_share_of_the_lanes_for_its_time() -> None:
    cut = Cut(at_seconds=10, share=0.25, away_seconds=5, return_seconds=20)
    (departure,) = departures(Life(cuts=(cut,)), 9)
    assert departure.at_seconds == 10
    assert 400 < len(departure.lanes) < 600
    assert 15 <= departure.back_seconds.min() < 16
    assert 34 < departure.back_seconds.max() < 35


def test_a_storm_takes_all_and_lets_them_back_at_once() -> None:
    (departure,) = departures(Life(cuts=(Cut(at_seconds=3),)), 9)
    assert departure.lanes.tolist() == LANES.tolist()
    assert (departure.back_seconds == 3).all()


def test_a_repeated_cut_takes_others_each_time() -> None:
    life = Life(cuts=(Cut(at_seconds=1, share=0.5, every_seconds=60),))
    first, second, third = departures(life, 3)
    assert [d.at_seconds for d in (first, second, third)] == [1, 61, 121]
    assert not np.array_equal(first.lanes, second.lanes)


def test_several_cuts_come_in_the_order_of_time() -> None:
    life = Life(cuts=(Cut(at_seconds=5, every_seconds=10), Cut(at_seconds=9)))
    assert [d.at_seconds for d in departures(life, 4)] == [5, 9, 15, 25]


@given(SEEDS, st.lists(st.integers(0, 1_999), min_size=1, unique=True))
def test_each_process_decides_the_same_for_its_own_lanes(seed: int, own: list[int]) -> None:
    life = Life(cuts=(Cut(at_seconds=1, share=0.5, return_seconds=9),))
    (all_of_them,) = life.departures(seed, LANES)
    (some,) = life.departures(seed, np.array(own))
    back = dict(zip(all_of_them.lanes.tolist(), all_of_them.back_seconds.tolist(), strict=True))
    assert some.lanes.tolist() == [lane for lane in own if lane in back]
    assert some.back_seconds.tolist() == [back[lane] for lane in some.lanes.tolist()]


@given(SEEDS)
def test_births_come_one_by_one_and_the_others_are_there_from_the_beginning(seed: int) -> None:
    born = Births(share=0.5, over_seconds=100).seconds(seed, LANES)
    late = born[born > 0]
    assert 800 < len(late) < 1_200
    assert late.max() < 100
    assert np.histogram(late, bins=4, range=(0, 100))[0].min() > 150
