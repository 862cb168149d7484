"""Whether the database is worth asking."""

from penstock.backoff import Backoff
from penstock.pipeline.breaker import Breaker
from tests.support.clocks import ManualClock


def make_breaker() -> tuple[Breaker, ManualClock]:
    clock = ManualClock()
    return Breaker(Backoff(1.0, 8.0, lambda: 1.0), clock), clock


def test_it_is_closed_until_something_fails() -> None:
    breaker, _ = make_breaker()
    assert (breaker.closed, breaker.wait_seconds) == (True, 0.0)
    breaker.failed()
    assert (breaker.closed, breaker.wait_seconds) == (False, 2.0)


def test_time_alone_does_not_close_it() -> None:
    breaker, clock = make_breaker()
    breaker.failed()
    clock.advance(100)
    assert (breaker.closed, breaker.wait_seconds) == (False, 0.0)


def test_the_wait_grows_with_each_failed_try_but_not_with_failures_at_once() -> None:
    breaker, clock = make_breaker()
    waits = []
    for _ in range(4):
        breaker.failed()
        breaker.failed()
        waits.append(breaker.wait_seconds)
        clock.advance(breaker.wait_seconds)
    assert waits == [2.0, 4.0, 8.0, 8.0]


def test_a_success_closes_it_and_the_next_wait_is_short_again() -> None:
    breaker, clock = make_breaker()
    for _ in range(3):
        breaker.failed()
        clock.advance(100)
    breaker.succeeded()
    assert breaker.closed
    breaker.failed()
    assert breaker.wait_seconds == 2.0
