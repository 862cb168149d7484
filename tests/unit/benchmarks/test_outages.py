"""Outages become medians, the most memory, and the latency of all live messages."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.frame import BenchError, Result
from benchmarks.noise import Noise
from benchmarks.outage import Course, Outage, _Look, _looks, _watch_drain
from benchmarks.outages import result_of
from penstock_simulator.stack import Daemon

MIB = 1_048_576
QUIET, NOISY = Noise(), Noise(foreign=0.5)


def outage(
    *, drain: float, grown_mib: float, wait_ms: float, noise: Noise = QUIET, busy: float = 0.2
) -> Outage:
    return Outage(
        backlog_rows=1_200_000,
        before_bytes=80 * MIB,
        most_bytes=int((80 + grown_mib) * MIB),
        arrival_rows_per_second=60_000,
        drain_rows_per_second=drain,
        live_waits_us=np.full(100, wait_ms * 1_000, dtype=np.int64),
        course=Course(2, np.array([3, 5, 5, 5, 2]), np.array([0, 5, 0, 15, 0])),
        noise=noise,
        generator_cpu=busy,
    )


@pytest.fixture
def result() -> Result:
    return result_of(
        [
            outage(drain=240_000, grown_mib=7, wait_ms=100),
            outage(drain=120_000, grown_mib=70, wait_ms=200),
            outage(drain=180_000, grown_mib=9, wait_ms=150),
            outage(drain=1, grown_mib=900, wait_ms=9e6, noise=NOISY),
            outage(drain=1, grown_mib=900, wait_ms=9e6, busy=0.95),
        ],
        seconds=20,
    )


def test_goals_are_of_the_outages_that_count(result: Result) -> None:
    drain, live, memory = result.goals
    assert (drain.figure, drain.met) == (3.0, True)
    assert (live.figure, live.met) == (200.0, True)
    assert (memory.figure, memory.met) == (70.0, False)
    assert not any(goal.void for goal in result.goals)
    assert result.voids == ["outage of 20 s: 2 of 5"]


def test_the_table_has_every_outage_and_says_which_are_void(result: Result) -> None:
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4, void", "5, void"]
    assert table.rows[0][1:] == ["1,200,000", "240,000", "4.0", "100", "100", "80", "87"]


def test_the_chart_counts_from_the_outage_and_leaves_partial_seconds_out(result: Result) -> None:
    (chart,) = result.charts
    assert list(chart.places) == [-1.0, 0.0, 1.0]
    assert chart.series["due"] == [5.0, 5.0, 5.0]
    assert chart.series["committed"] == [5.0, 0.0, 15.0]


def test_goals_are_void_when_no_outage_counts() -> None:
    noisy = outage(drain=240_000, grown_mib=7, wait_ms=100, noise=NOISY)
    assert all(goal.void for goal in result_of([noisy], seconds=20).goals)


def test_a_daemon_that_does_not_answer_is_not_waited_for_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.outage._PATIENCE_SECONDS", 0.2)
    daemon = Daemon(tmp_path, mqtt_url="mqtt://127.0.0.1:1", dsn="postgresql://127.0.0.1:1/none")
    with pytest.raises(BenchError, match="nothing was replayed"):
        next(_looks(daemon, os.getpid()))


def test_what_was_replayed_before_the_outage_is_not_counted() -> None:
    looks = [
        look(at_seconds, replayed, waiting)
        for at_seconds, replayed, waiting in [(1, 500, 900), (2, 700, 700), (4, 1_400, 0)]
    ]
    drain = _watch_drain(look(0, 500, 800), iter(looks))
    assert (drain.began, drain.ended) == (looks[0], looks[-1])
    assert (drain.rows, drain.seconds) == (900, 3)


def look(at_seconds: int, replayed_rows: int, waiting_rows: int) -> _Look:
    return _Look(at_seconds * 1_000_000, replayed_rows, waiting_rows, waiting_rows / 100, 1, 0)
