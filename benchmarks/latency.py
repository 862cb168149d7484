"""How long a message takes from being due to being committed, at 10, 50 and 90 % of saturation.

Everything at QoS 1, under the reference configuration. First saturation is measured, a window for
each run. It fluctuates, and 90 % of its median can be more than the broker takes at the moment; so
the shares are of the least of the windows that count: a rate that was sustained in all of them.
Then the loads take turns, each for two windows' time.

A load is an open loop: a message is due when the schedule says, and its time runs from then,
however late it left the generator (G. Tene, "How NOT to Measure Latency", 2013). Percentiles are of
the messages of all windows that count together, because a median of percentiles would hide the
window with the stall in it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.frame import (
    Chart,
    Context,
    Goal,
    Result,
    Table,
    counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.line_rate import Measured, measure, tell, waits_of
from benchmarks.subjects import penstock, servers
from penstock_simulator.percentiles import Percentiles

PERCENTS = (10, 50, 90)
MOST_P99_MS = {50: 150.0, 90: 500.0}

Windows = Mapping[int, Sequence[Measured]]
"""By the load in percent of saturation."""


def measure_latency(context: Context) -> Result:
    """Measure saturation, then every load in turn."""
    windows: dict[int, list[Measured]] = defaultdict(list)
    saturation: list[Measured] = []
    with servers() as bench:
        for run in range(context.runs):
            measured = measure(bench, penstock, qos=1, seconds=context.seconds)
            saturation.append(measured)
            tell(context, f"run {run + 1}, saturation", measured)
        for run in range(context.runs):
            for percent in PERCENTS:
                rate = sustained(saturation) * percent / 100
                measured = measure(bench, penstock, qos=1, seconds=2 * context.seconds, rate=rate)
                windows[percent].append(measured)
                tell(context, f"run {run + 1}, {percent} % of saturation", measured)
    return result_of(saturation, windows)


def sustained(saturation: Sequence[Measured]) -> float:
    """The rate that was reached in every window that counts, in messages a second."""
    return min(map(_rate, counted(saturation)))


def result_of(saturation: Sequence[Measured], windows: Windows) -> Result:
    """Percentiles of all messages of a load."""
    latencies = {percent: _percentiles(taken) for percent, taken in windows.items()}
    most = max(map(_rate, counted(saturation)))
    return Result(
        figures={
            "saturation_mps": round(sustained(saturation)),
            "most_saturation_mps": round(most),
            **{
                f"{percent} %": _figures(windows[percent], latency)
                for percent, latency in latencies.items()
            },
        },
        tables=[
            Table(
                title="Latency: from due to committed, QoS 1",
                columns=["load", "messages/s", *(f"{name} ms" for name in _COLUMNS)],
                rows=[
                    _row(percent, windows[percent], latency)
                    for percent, latency in latencies.items()
                ],
            )
        ],
        goals=[
            Goal(
                what=f"latency at {percent} % of saturation, p99 ms",
                figure=latencies[percent]["p99"],
                bound=bound,
                better="lower",
                void=is_void(windows[percent]) or is_void(saturation),
            )
            for percent, bound in MOST_P99_MS.items()
        ],
        charts=[
            Chart(
                name="latency",
                title="From due to committed, by load",
                unit="ms",
                places=[f"{percent} % of saturation" for percent in latencies],
                series={name: [latency[name] for latency in latencies.values()] for name in _DRAWN},
            )
        ],
        voids=void_windows(
            {
                "saturation": saturation,
                **{f"{percent} %": taken for percent, taken in windows.items()},
            }
        ),
        notes=[
            f"Saturation is {sustained(saturation):,.0f} messages/s, the least of its windows.",
            f"In the best of them it was {most:,.0f}.",
            "Percentiles are of all messages of a load together.",
        ],
    )


_DRAWN = ("p50", "p90", "p99", "p99.9")
_COLUMNS = (*_DRAWN, "most")


def _percentiles(taken: Sequence[Measured]) -> dict[str, float]:
    """Those of the messages of all windows that count, in ms."""
    waits = waits_of(taken)
    found = (waits.p50, waits.p90, waits.p99, waits.p999, waits.max)
    return {
        name: figure for name, figure in zip(_COLUMNS, found, strict=True) if figure is not None
    }


def _figures(taken: Sequence[Measured], latency: Mapping[str, float]) -> dict[str, Any]:
    return {
        "messages_per_second": round(median(taken, _rate)),
        "latency_ms": latency,
        "p99_ms_by_window": [Percentiles.of(window.waits_us).p99 for window in taken],
        "void": is_void(taken),
    }


def _row(percent: int, taken: Sequence[Measured], latency: Mapping[str, float]) -> list[str]:
    figures = (f"{latency[name]:,.1f}" for name in _COLUMNS)
    return [f"{percent} %", f"{median(taken, _rate):,.0f}", *figures]


def _rate(window: Measured) -> float:
    return window.messages_per_second
