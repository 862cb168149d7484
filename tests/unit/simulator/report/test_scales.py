"""Axes hold every value, and name round figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.report import scales
from penstock_simulator.report.scales import Scale

VALUES = st.floats(1e-3, 1e12)


def labels(scale: Scale) -> list[str]:
    return [tick.label for tick in scale.ticks]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, ["0", "1"]),
        (4, ["0", "1", "2", "3", "4"]),
        (2_030, ["0", "1000", "2000", "3000"]),
        (0.16, ["0", "0.05", "0.1", "0.15", "0.2"]),
    ],
)
def test_a_linear_axis_has_round_ticks(most: float, expected: list[str]) -> None:
    assert labels(scales.linear(most, lambda value: f"{value:.10g}")) == expected


@given(most=VALUES, share=st.floats(0, 1))
def test_a_linear_axis_holds_every_value(most: float, share: float) -> None:
    scale = scales.linear(most, str)
    assert 0 <= scale.place(most * share) <= 1 + 1e-9
    assert scale.place(most) >= 0.5
    assert 2 <= len(scale.ticks) <= 6


@given(least=st.floats(0.1, 1e3), factor=st.floats(1, 1e6), share=st.floats(0, 1))
def test_a_logarithmic_axis_holds_every_value(least: float, factor: float, share: float) -> None:
    scale = scales.logarithmic(least, least * factor, str)
    assert -1e-9 <= scale.place(least * factor**share) <= 1 + 1e-9


def test_time_ends_where_the_run_does() -> None:
    scale = scales.until(31, lambda value: f"{value:g}", steps=scales.TIME_STEPS)
    assert labels(scale) == ["0", "5", "10", "15", "20", "25", "30"]
    assert scale.place(31) == 1


def test_each_nine_of_a_percentile_is_as_wide_as_the_one_before() -> None:
    scale = scales.nines(10_000)
    assert labels(scale) == ["p50", "p90", "p99", "p99.9", "p99.99"]
    widths = [scale.place(share) for share in (0.0, 0.9, 0.99, 0.999, 0.9999)]
    assert widths == pytest.approx([0, 0.25, 0.5, 0.75, 1])
