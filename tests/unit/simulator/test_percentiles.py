"""Percentiles are exact, and every event is counted in its second."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.percentiles import Percentiles, per_second

TIMES = st.lists(st.integers(0, 10_000_000), max_size=200)


def test_percentiles_of_a_known_distribution() -> None:
    times_us = np.random.default_rng(1).permutation(np.arange(100_001))
    found = Percentiles.of(times_us)
    assert found.count == 100_001
    assert (found.p50, found.p90, found.p99) == (50.0, 90.0, 99.0)
    assert (found.p999, found.max) == (99.9, 100.0)


def test_of_nothing_there_is_only_a_count() -> None:
    found = Percentiles.of(np.zeros(0, dtype=np.int64))
    assert found == Percentiles(count=0)


@given(TIMES)
def test_seconds_add_up_to_what_is_in_the_span(times: list[int]) -> None:
    counts = per_second(np.array(times, dtype=np.int64), 1_000_000, 4_500_000)
    assert len(counts) == 4
    assert counts.sum() == sum(1_000_000 <= time < 4_500_000 for time in times)


def test_an_event_is_counted_in_its_own_second() -> None:
    counts = per_second(np.array([999_999, 1_000_000, 1_999_999, 2_000_000]), 0, 3_000_000)
    assert counts.tolist() == [1, 2, 1]
