"""Measured windows become medians and ratios."""

import numpy as np
import pytest

from benchmarks.frame import is_void, median
from benchmarks.line_rate import Measured
from benchmarks.noise import Noise
from benchmarks.results import (
    AIOMQTT,
    AIOMQTT_311,
    NULL_SINK,
    PENSTOCK,
    Windows,
    report_of,
    result_of,
)
from penstock_simulator.percentiles import Percentiles

LATENCY = Percentiles(count=9, p50=50.0, p99=90.0)
QUIET, NOISY = Noise(), Noise(foreign=0.5)


def half(wait_ms: int, noise: Noise = QUIET) -> Measured:
    waits_us = np.full(100, wait_ms * 1_000, dtype=np.int64)
    return Measured(45_000, 6, 0.2, noise=noise, waits_us=waits_us)


@pytest.fixture
def windows() -> Windows:
    def three(rate: float, cost: float) -> list[Measured]:
        return [
            Measured(rate * f, cost * f, 0.2, resident_bytes=int(f * 40 * 1_048_576))
            for f in (1.0, 3.0, 0.1)
        ]

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
        "resident_mib": 120.0,
    }
    assert report_of(windows, LATENCY) == {
        "qos0": figures,
        "qos1": figures,
        "latency_ms": {"p50": 50.0, "p99": 90.0},
    }


def test_the_table_shows_every_subject(windows: Windows) -> None:
    (table,) = result_of(windows, [half(50)]).tables
    shown = "\n".join(" ".join(row) for row in table.rows)
    for part in (
        "mosquitto_sub",
        "MQTT 5",
        "MQTT 3.1.1",
        "Penstock",
        "90,000",
        "0.90",
        "1.20",
        "120",
    ):
        assert part in shown


def test_the_latency_at_half_is_of_the_windows_that_count(windows: Windows) -> None:
    result = result_of(windows, [half(900, NOISY), half(50), half(70)])
    assert result.figures["latency_ms"]["p99"] == 70.0
    assert "p99 70.0 ms." in result.notes[-1]
    assert list(result.voids) == ["half of saturation: 1 of 3"]


def test_a_latency_at_half_that_does_not_count_is_marked(windows: Windows) -> None:
    result = result_of(windows, [half(900, NOISY)])
    assert result.notes[-1].endswith("p99 900.0 ms, void.")
    assert list(result.voids) == ["half of saturation: 1 of 1"]


def test_goals_are_met_or_missed(windows: Windows) -> None:
    met = {goal.what: goal.met for goal in result_of(windows, [half(50)]).goals}
    assert met == {
        "Penstock ÷ null sink, QoS 0": False,
        "Penstock ÷ null sink, QoS 1": False,
        "CPU per message ÷ mosquitto_sub, QoS 0": True,
        "CPU per message ÷ mosquitto_sub, QoS 1": False,
        "resident memory at saturation, QoS 0, MiB": True,
        "resident memory at saturation, QoS 1, MiB": True,
    }


@pytest.mark.parametrize(("share", "void"), [(0.5, False), (0.95, True)])
def test_a_window_whose_generator_was_busy_is_void(share: float, void: bool) -> None:
    assert Measured(1, 1, share).void is void
    assert ("generator" in Measured(1, 1, share).remark) is void


@pytest.mark.parametrize(
    ("noise", "void"),
    [(Noise(0.09, 1.1), False), (Noise(0.11, 1.1), True), (Noise(0.0, 1.2), True)],
)
def test_a_window_on_a_noisy_machine_is_void(noise: Noise, void: bool) -> None:
    measured = Measured(1, 1, 0.1, noise=noise)
    assert measured.void is void
    assert ("VOID" in measured.remark) is void


def test_void_windows_do_not_count_while_others_do() -> None:
    quiet, noisy = Measured(100, 1, 0.1), Measured(1, 1, 0.1, noise=Noise(foreign=0.5))
    speed = {
        len(some): median(some, lambda window: window.messages_per_second)
        for some in ([noisy], [noisy, quiet], [noisy, noisy, quiet])
    }
    assert speed == {1: 1, 2: 100, 3: 100}
    assert is_void([noisy])
    assert not is_void([noisy, quiet])
