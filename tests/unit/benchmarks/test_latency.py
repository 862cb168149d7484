"""Percentiles of a load are those of all its messages, and shares are of what is sustained."""

import numpy as np
import pytest

from benchmarks.frame import Result
from benchmarks.latency import Windows, result_of, sustained
from benchmarks.line_rate import Measured
from benchmarks.noise import Noise

QUIET, NOISY = Noise(), Noise(foreign=0.5)
SATURATION = [Measured(50_000, 5, 0.2), Measured(40_000, 5, 0.2), Measured(9, 5, 0.2, noise=NOISY)]


def window(waits_ms: list[float], noise: Noise = QUIET) -> Measured:
    waits_us = (np.array(waits_ms) * 1_000).astype(np.int64)
    return Measured(20_000, 7, 0.2, noise=noise, waits_us=waits_us)


@pytest.fixture
def windows() -> Windows:
    return {
        10: [window([20.0] * 1_000)],
        50: [window([50.0] * 980), window([1_000.0] * 20), window([9e6] * 5_000, NOISY)],
        90: [window([100.0] * 1_000, NOISY)],
    }


@pytest.fixture
def result(windows: Windows) -> Result:
    return result_of(SATURATION, windows)


def test_saturation_is_what_every_window_that_counts_has_reached() -> None:
    assert sustained(SATURATION) == 40_000


def test_a_stall_in_one_window_shows_in_the_percentiles_of_all(result: Result) -> None:
    latency = result.figures["50 %"]["latency_ms"]
    assert (latency["p50"], latency["p90"], latency["p99"]) == (50.0, 50.0, 1_000.0)
    assert latency["most"] == 1_000.0


def test_each_goal_is_for_its_load_and_void_without_windows(result: Result) -> None:
    half, most = result.goals
    assert (half.figure, half.bound, half.met, half.void) == (1_000.0, 150.0, False, False)
    assert (most.figure, most.bound, most.met, most.void) == (100.0, 500.0, True, True)


def test_the_table_and_the_chart_have_every_load(result: Result) -> None:
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["10 %", "50 %", "90 %"]
    assert table.rows[0][1:4] == ["20,000", "20.0", "20.0"]
    (chart,) = result.charts
    assert list(chart.series) == ["p50", "p90", "p99", "p99.9"]
    assert chart.series["p50"] == [20.0, 50.0, 100.0]


def test_void_windows_are_told(result: Result) -> None:
    assert result.voids == ["saturation: 1 of 3", "50 %: 1 of 3", "90 %: 1 of 1"]
