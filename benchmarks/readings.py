"""The most readings a second that are committed when devices send many in a message.

Broker, generator, database and Penstock share the machine. Messages of 100 readings come as fast as
they are taken; the rate is of what was committed within the window, by the commit timestamps, and
the oracle reconciles every reading. Penstock runs under the reference configuration, with a spool,
and under one for such a load: larger batches, which cost the database less, and a writer more.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.frame import (
    Chart,
    Context,
    Goal,
    Result,
    Table,
    best_counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.line_rate import MakeSubject, Measured, measure_fleet
from benchmarks.subjects import penstock, servers
from penstock_simulator.fleet import Fleet

LEAST_READINGS = 500_000
REFERENCE: tuple[tuple[str, str], ...] = ()
LARGE_BATCHES = (
    ("STORAGE__BATCH_ROWS", "20000"),
    ("STORAGE__QUEUE_ROWS", "200000"),
    ("STORAGE__WRITERS", "3"),
)
_BACKLOG = 2_000
"""Messages that wait: four tenths of a second at 500,000 readings a second."""


class Case(NamedTuple):
    """What is sent, and to what configuration."""

    payload: str
    metrics: int
    envelopes: int
    configuration: str
    overrides: tuple[tuple[str, str], ...]
    """Settings to change, as for `Daemon`."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.payload}, {self.configuration}"

    @property
    def subject(self) -> MakeSubject:
        """Penstock under this configuration."""
        return partial(penstock, overrides=dict(self.overrides))

    def fleet(self) -> Fleet:
        """A fleet of its own for each window."""
        return Fleet.at_rate(
            10_000,
            seed=time.time_ns() & 0xFFFFFFFF,
            start_us=time.time_ns() // 1_000,
            type="vehicle",
            metrics=self.metrics,
            batch=self.envelopes,
            shape="list" if self.envelopes > 1 else "envelope",
            lanes=8,
            qos=1,
        )


CASES = [
    Case(payload, metrics, envelopes, configuration, overrides)
    for payload, metrics, envelopes in (
        ("one envelope of 100", 100, 1),
        ("10 envelopes of 10", 10, 10),
    )
    for configuration, overrides in (("reference", REFERENCE), ("large batches", LARGE_BATCHES))
]


def measure_readings(context: Context) -> Result:
    """Measure every case in turn."""
    windows: dict[Case, list[Measured]] = defaultdict(list)
    with servers() as bench:
        for run in range(context.runs):
            for case in CASES:
                measured = measure_fleet(
                    bench, case.subject, case.fleet(), seconds=context.seconds, backlog=_BACKLOG
                )
                windows[case].append(measured)
                _tell(context, run, case, measured)
    return result_of(windows)


def _tell(context: Context, run: int, case: Case, measured: Measured) -> None:
    context.console.print(
        f"run {run + 1}, {case.name}: {readings_per_second(measured):,.0f} readings/s,"
        f" {_cpu_us(measured):.2f} µs of CPU a reading,"
        f" generator at {measured.generator_cpu:.0%} of a core{measured.remark}",
        soft_wrap=True,
    )


def readings_per_second(measured: Measured) -> float:
    """Committed readings."""
    return measured.messages_per_second * measured.readings_per_message


def _cpu_us(measured: Measured) -> float:
    """Of Penstock, for each reading."""
    return measured.cpu_us_per_message / measured.readings_per_message


def result_of(windows: Mapping[Case, Sequence[Measured]]) -> Result:
    """Medians by case; the goal is for the best that counts."""
    rates = {case: median(taken, readings_per_second) for case, taken in windows.items()}
    costs = {case: median(taken, _cpu_us) for case, taken in windows.items()}
    best = best_counted(windows, rates)
    return Result(
        figures={
            case.name: {
                "readings_per_second": round(rates[case]),
                "cpu_us_per_reading": round(costs[case], 3),
                "void": is_void(windows[case]),
            }
            for case in windows
        },
        tables=[
            Table(
                title="Readings: committed, from messages of 100",
                columns=["payload", "configuration", "readings/s", "CPU µs/reading"],
                rows=[
                    [case.payload, case.configuration, f"{rates[case]:,.0f}", f"{costs[case]:.2f}"]
                    for case in windows
                ],
            )
        ],
        goals=[
            Goal(
                what=f"committed readings/s, {best.name}",
                figure=rates[best],
                bound=LEAST_READINGS,
                void=is_void(windows[best]),
            )
        ],
        charts=[
            Chart(
                name="readings",
                title="Committed readings, from messages of 100",
                unit="readings/s",
                places=[case.name for case in windows],
                series={"Penstock": [rates[case] for case in windows]},
                bound=LEAST_READINGS,
            )
        ],
        voids=void_windows({case.name: taken for case, taken in windows.items()}),
    )
