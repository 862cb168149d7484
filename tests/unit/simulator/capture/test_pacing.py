"""When captured messages are due again: their own spacing, another rate, or at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.capture.pacing import Pacing, at_once, at_rate, at_speed

TIMES = st.lists(st.integers(0, 10**12), min_size=1, max_size=20).map(
    lambda times: np.array(sorted(times), dtype=np.int64)
)


def due_of(pacing: Pacing, slots: int) -> list[int]:
    return [int(at) for at in pacing.due_us(np.arange(slots))]


def test_the_spacing_is_kept_and_scaled() -> None:
    at_us = np.array([5_000_000, 5_100_000, 7_000_000])
    assert due_of(at_speed(at_us, 1), 3) == [0, 100_000, 2_000_000]
    assert due_of(at_speed(at_us, 4), 3) == [0, 25_000, 500_000]
    assert due_of(at_speed(at_us, 0.5), 3) == [0, 200_000, 4_000_000]


def test_rounds_are_as_far_apart_as_messages_are_on_average() -> None:
    pacing = at_speed(np.array([0, 100, 300]), 1)
    assert due_of(pacing, 7) == [0, 100, 300, 450, 550, 750, 900]


def test_a_rate_is_even_across_rounds() -> None:
    assert due_of(at_rate(3, 1_000), 7) == [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000]


def test_a_time_that_goes_back_does_not_reorder() -> None:
    assert due_of(at_speed(np.array([10, 30, 20, 40]), 1), 4) == [0, 20, 20, 30]


@pytest.mark.parametrize("count", [1, 3])
def test_at_once_everything_is_due_at_the_beginning(count: int) -> None:
    assert at_once(count).due(0, 5) == 5 * count


@given(
    at_us=TIMES, speed=st.floats(0.01, 1_000), rounds=st.integers(1, 4), at=st.integers(0, 10**14)
)
def test_as_many_are_due_as_have_a_time_that_has_come(
    at_us: np.ndarray[tuple[int], np.dtype[np.int64]], speed: float, rounds: int, at: int
) -> None:
    pacing = at_speed(at_us, speed)
    due = due_of(pacing, rounds * len(at_us))
    assert due == sorted(due)
    for elapsed in (at, due[-1], due[at % len(due)]):
        assert pacing.due(elapsed, rounds) == sum(time <= elapsed for time in due)


@given(at_us=TIMES, which=st.data())
def test_some_messages_keep_their_times(
    at_us: np.ndarray[tuple[int], np.dtype[np.int64]], which: st.DataObject
) -> None:
    pacing = at_speed(at_us, 2)
    chosen = np.array(
        sorted(which.draw(st.sets(st.integers(0, len(at_us) - 1), min_size=1))), dtype=np.int64
    )
    assert due_of(pacing.of(chosen), len(chosen)) == [
        due for place, due in enumerate(due_of(pacing, len(at_us))) if place in chosen
    ]
