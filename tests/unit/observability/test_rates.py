"""Rates are taken over the last seconds, whatever the rhythm of the samples."""

import pytest

from penstock.observability.metrics import Metrics
from penstock.observability.rates import WINDOW_SECONDS, Rate
from tests.support.clocks import ManualClock


def test_there_is_no_rate_before_there_are_two_samples() -> None:
    rate = Rate()
    assert rate.per_second() == 0.0
    rate.sample(10.0, 100)
    assert rate.per_second() == 0.0
    rate.sample(10.0, 200)
    assert rate.per_second() == 0.0


def test_a_steady_growth_is_its_rate() -> None:
    rate = Rate()
    for second in range(100):
        rate.sample(float(second), 50 * second)
    assert rate.per_second() == 50.0


def test_what_is_older_than_the_window_is_forgotten() -> None:
    rate = Rate()
    for second in range(60):
        rate.sample(float(second), 1_000 * min(second, 30))
    assert rate.per_second() == 0.0


def test_a_burst_counts_for_the_length_of_the_window() -> None:
    rate = Rate()
    rate.sample(0.0, 0)
    rate.sample(1.0, 500)
    for second in range(2, 11):
        rate.sample(float(second), 500)
    assert rate.per_second() == 500 / WINDOW_SECONDS
    rate.sample(12.0, 500)
    assert rate.per_second() == 0.0


def test_samples_that_come_late_are_measured_over_the_time_that_passed() -> None:
    rate = Rate()
    rate.sample(0.0, 0)
    rate.sample(40.0, 4_000)
    assert rate.per_second() == 100.0


def test_a_tick_samples_every_rate() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    account = metrics.ledger.account("t")
    metrics.tick()
    clock.advance(2.0)
    account.received, account.stored, account.dead_lettered = 200, 180, 20
    metrics.tick()
    assert metrics.received_rate.per_second() == pytest.approx(100.0)
    assert metrics.stored_rate.per_second() == pytest.approx(90.0)
    assert metrics.dead_letter_rate.per_second() == pytest.approx(10.0)
    assert metrics.uptime_seconds == pytest.approx(2.0)
