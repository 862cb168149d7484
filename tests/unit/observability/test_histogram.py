"""Histograms count each value once, in the bucket that Prometheus would put it in."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.histogram import Histogram

BOUNDS = (0.1, 1.0, 10.0)
values = st.floats(-1e6, 1e6)


def test_a_value_on_a_bound_is_within_it() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0.1, 0.1000001, 1.0, 10.0, 10.1):
        histogram.observe(value)
    assert histogram.counts == [1, 2, 1, 1]


def test_a_value_below_zero_counts_as_zero() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe(-5.0)
    histogram.observe_many(np.array([-5.0, 0.5]))
    assert histogram.counts == [2, 1, 0, 0]
    assert histogram.total == 0.5


def test_a_weight_counts_the_value_as_often() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe(2.0, weight=3)
    assert histogram.counts == [0, 0, 3, 0]
    assert histogram.total == 6.0
    assert histogram.count == 3


def test_no_values_change_nothing() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe_many(np.array([], dtype=np.float64))
    assert histogram.counts == [0, 0, 0, 0]
    assert histogram.total == 0.0


@given(st.lists(values | st.sampled_from(BOUNDS)))
def test_many_at_once_are_counted_as_one_by_one(observed: list[float]) -> None:
    at_once, one_by_one = Histogram(BOUNDS), Histogram(BOUNDS)
    at_once.observe_many(np.array(observed, dtype=np.float64))
    for value in observed:
        one_by_one.observe(value)
    assert at_once.counts == one_by_one.counts
    assert at_once.count == len(observed)
    assert math.isclose(at_once.total, one_by_one.total, rel_tol=1e-9, abs_tol=1e-3)
