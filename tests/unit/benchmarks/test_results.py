"""Measured windows become medians and ratios."""

import io

import pytest
from rich.console import Console

from benchmarks.line_rate import Measured
from benchmarks.results import (
    AIOMQTT,
    AIOMQTT_311,
    NULL_SINK,
    PENSTOCK,
    Windows,
    print_results,
    report_of,
)
from penstock_simulator.account import Latency

LATENCY = Latency(50.0, 90.0)


@pytest.fixture
def windows() -> Windows:
    def three(rate: float, cost: float) -> list[Measured]:
        return [Measured(rate * f, cost * f, 0.2) for f in (1.0, 3.0, 0.1)]

    return {
        (qos, subject): three(rate, cost)
        for qos in (0, 1)
        for subject, rate, cost in [
            (NULL_SINK, 100_000, 5),
            (AIOMQTT, 10_000, 100),
            (AIOMQTT_311, 30_000, 30),
            (PENSTOCK, 90_000, 6),
        ]
    }


def test_a_report_has_exactly_the_keys_that_others_rely_on(windows: Windows) -> None:
    figures = {
        "null_sink_mps": 100_000,
        "aiomqtt_mps": 10_000,
        "penstock_mps": 90_000,
        "ratio": 0.9,
        "cpu_ratio": 1.2,
    }
    assert report_of(windows, LATENCY) == {
        "qos0": figures,
        "qos1": figures,
        "latency_ms": {"p50": 50.0, "p99": 90.0},
    }


def test_the_table_shows_every_subject(windows: Windows) -> None:
    out = io.StringIO()
    print_results(Console(file=out, width=100), windows, LATENCY)
    for part in ("mosquitto_sub", "MQTT 5", "MQTT 3.1.1", "Penstock", "90,000", "0.90", "1.20"):
        assert part in out.getvalue()


@pytest.mark.parametrize(("share", "void"), [(0.5, False), (0.95, True)])
def test_a_window_whose_generator_was_busy_is_void(share: float, void: bool) -> None:
    assert Measured(1, 1, share).void is void
