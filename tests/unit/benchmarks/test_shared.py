"""Instances are reported together, and how evenly they shared."""

import pytest

from benchmarks.line_rate import Measured
from benchmarks.shared import BUSY_BROKER, Shared, result_of


def shared(rate: float, received: list[int], broker_cpu: float | None = 0.9) -> Shared:
    measured = Measured(rate, 8, 0.2, resident_bytes=100 * 1_048_576, broker_cpu=broker_cpu)
    return Shared(measured, received)


def test_evenness_is_the_least_share_of_an_even_one() -> None:
    assert shared(1, [10]).evenness == 1.0
    assert shared(1, [50, 50]).evenness == 1.0
    assert shared(1, [60, 30, 30]).evenness == 0.75


def test_instances_are_reported_together() -> None:
    result = result_of({1: [shared(40_000, [7])], 2: [shared(30_000, [40, 60])]})
    assert result.figures["2"] == {
        "messages_per_second": 30_000,
        "cpu_us_per_message": 8,
        "evenness": 0.8,
        "broker_cpu": 0.9,
        "resident_mib": 100.0,
        "void": False,
    }
    (table,) = result.tables
    assert table.rows[1] == ["2", "30,000", "8.00", "0.80", "90%", "100"]
    assert list(result.charts[0].places) == ["1 instance", "2 instances"]


@pytest.mark.parametrize(
    ("broker_cpu", "busy"), [(BUSY_BROKER, False), (0.95, True), (None, False)]
)
def test_that_the_broker_is_the_limit_is_said_only_where_it_was(
    broker_cpu: float | None, busy: bool
) -> None:
    result = result_of({1: [shared(1, [7], broker_cpu)], 2: [shared(1, [1, 1], 0.99)]})
    assert any("that core was busy" in note for note in result.notes) is busy


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_said_of_a_broker_that_is_not_ours(number: int) -> None:
    result = result_of({number: [shared(1, [1] * number, broker_cpu=None)]})
    assert result.figures[str(number)]["broker_cpu"] is None
    assert result.tables[0].rows[0][4] == ""
