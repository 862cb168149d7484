"""A result with everything that a result can have."""

import pytest

from benchmarks.documents import Report
from benchmarks.frame import Chart, Goal, Result, Table
from benchmarks.machine import Occasion

BARS = Chart(
    name="bars",
    title="Rows by batch",
    unit="rows/s",
    places=["500", "5,000"],
    series={"raw": [100_000.0, 200_000.0], "Penstock": [90_000.0, 190_000.0]},
)
LINES = Chart(
    name="lines",
    title="Cost by devices",
    unit="µs",
    places=[10.0, 1_000.0, 100_000.0],
    series={"Penstock": [3.0, 3.1, 3.2]},
    kind="lines",
    place_unit="devices",
    bound=3.6,
    logarithmic=True,
)


@pytest.fixture
def result() -> Result:
    return Result(
        figures={"500": {"ratio": 0.9}},
        tables=[Table(title="Rows", columns=["rows/batch", "rows/s"], rows=[["500", "90,000"]])],
        goals=[
            Goal(what="ours ÷ raw", figure=0.905, bound=0.9),
            Goal(what="p99 ms", figure=200.0, bound=150.0, better="lower"),
            Goal(what="p99 ms, noisy", figure=100.0, bound=150.0, better="lower", void=True),
        ],
        charts=[BARS, LINES],
        voids=["ours: 1 of 3"],
        notes=["Nothing else ran."],
    )


@pytest.fixture
def report(result: Result) -> Report:
    occasion = Occasion(
        machine="some machine", commit="abc123", date="2026-01-02", command="measure --full"
    )
    return Report(occasion, {"storage": result}, {"outage": "no server\nits log"})
