from hypothesis import given
from hypothesis import strategies as st

from penstock.backoff import Backoff

positive = st.floats(min_value=1e-3, max_value=1e4)
fractions = st.lists(st.floats(min_value=0, max_value=1, exclude_max=True), min_size=1, max_size=30)


@given(minimum=positive, maximum=positive, fractions=fractions)
def test_every_delay_is_within_the_bounds_whatever_the_chance(
    minimum: float, maximum: float, fractions: list[float]
) -> None:
    chances = iter(fractions)
    backoff = Backoff(minimum, maximum, lambda: next(chances))
    for _ in fractions:
        assert min(minimum, maximum) <= backoff.next_seconds() <= maximum


def test_the_ceiling_doubles_with_every_failure_up_to_the_maximum() -> None:
    backoff = Backoff(0.25, 15.0, lambda: 1.0)
    assert [backoff.next_seconds() for _ in range(8)] == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_chance_chooses_between_the_floor_and_the_ceiling() -> None:
    chances = iter([0.0, 0.5])
    backoff = Backoff(0.25, 15.0, lambda: next(chances))
    assert [backoff.next_seconds() for _ in range(2)] == [0.25, 0.625]


def test_a_reset_begins_with_short_delays_again() -> None:
    backoff = Backoff(0.25, 15.0, lambda: 1.0)
    for _ in range(8):
        backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() == 0.5
