"""The outage benchmark: several outages of the database, and what they cost.

The rate of the drain is the median, and memory the most, over the outages that count. The latency
beside the drain is that of the live messages of all of them together, as in `latency`.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.frame import (
    MEBIBYTE,
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
from benchmarks.outage import Outage, measure_once

MESSAGES_PER_SECOND = 20_000
LEAST_DRAIN_RATIO = 2.0
MOST_LIVE_P99_MS = 1_000.0
MOST_GROWTH_MIB = 64.0


def measure_outage(context: Context) -> Result:
    """Measure one outage after the other."""
    outages = []
    for run in range(context.runs):
        outage = measure_once(seconds=context.outage_seconds, rate=MESSAGES_PER_SECOND)
        outages.append(outage)
        context.console.print(
            f"run {run + 1}, {context.outage_seconds:g} s: {outage.backlog_rows:,} rows drained at"
            f" {outage.drain_ratio:.1f} times the arrival, memory grew by {_growth_mib(outage):.0f}"
            f" MiB, generator at {outage.generator_cpu:.0%} of a core{outage.remark}",
            soft_wrap=True,
        )
    return result_of(outages, seconds=context.outage_seconds)


def result_of(outages: Sequence[Outage], *, seconds: float) -> Result:
    """What outages of so many seconds cost."""
    drain = median(outages, lambda outage: outage.drain_rows_per_second)
    ratio = median(outages, lambda outage: outage.drain_ratio)
    growth_mib = max(map(_growth_mib, counted(outages)))
    live = _live(outages)
    void = is_void(outages)
    return Result(
        figures={
            "messages_per_second": MESSAGES_PER_SECOND,
            "seconds": seconds,
            "backlog_rows": [outage.backlog_rows for outage in outages],
            "resident_mib_before": [_mib(outage.before_bytes) for outage in outages],
            "resident_mib_most": [_mib(outage.most_bytes) for outage in outages],
            "drain_rows_per_second": round(drain),
            "drain_ratio": round(ratio, 2),
            "live_latency_ms": live,
            "void": void,
        },
        tables=[
            Table(
                title=f"Outage: the database away for {seconds:g} s,"
                f" {MESSAGES_PER_SECOND:,} messages/s all the time",
                columns=[
                    "run",
                    "backlog rows",
                    "drained rows/s",
                    "÷ arrival",
                    "live p50 ms",
                    "live p99 ms",
                    "MiB before",
                    "MiB at most",
                ],
                rows=[_row(number, outage) for number, outage in enumerate(outages, 1)],
            )
        ],
        goals=[
            Goal(
                what="drain of the backlog ÷ arrival",
                figure=ratio,
                bound=LEAST_DRAIN_RATIO,
                void=void,
            ),
            Goal(
                what="latency of live messages beside the drain, p99 ms",
                figure=live["p99"],
                bound=MOST_LIVE_P99_MS,
                better="lower",
                void=void,
            ),
            Goal(
                what="growth of memory in an outage, MiB",
                figure=growth_mib,
                bound=MOST_GROWTH_MIB,
                better="lower",
                void=void,
            ),
        ],
        charts=[_chart(counted(outages)[0])],
        voids=void_windows({f"outage of {seconds:g} s": outages}),
        notes=["Nothing was lost and nothing doubled in any of them."],
    )


def _live(outages: Sequence[Outage]) -> dict[str, float]:
    """Percentiles of the live messages of all outages that count."""
    waits_us = np.concatenate([outage.live_waits_us for outage in counted(outages)])
    p50, p99 = np.percentile(waits_us / 1_000, (50, 99)).tolist()
    return {"p50": round(p50, 3), "p99": round(p99, 3)}


def _row(number: int, outage: Outage) -> list[str]:
    live = _live([outage])
    return [
        f"{number}, void" if outage.void else str(number),
        f"{outage.backlog_rows:,}",
        f"{outage.drain_rows_per_second:,.0f}",
        f"{outage.drain_ratio:.1f}",
        f"{live['p50']:.0f}",
        f"{live['p99']:.0f}",
        f"{outage.before_bytes / MEBIBYTE:.0f}",
        f"{outage.most_bytes / MEBIBYTE:.0f}",
    ]


def _chart(outage: Outage) -> Chart:
    """The first and the last second are partial, and left out."""
    course = outage.course
    whole = slice(1, len(course.due) - 1)
    seconds = range(len(course.due))[whole]
    return Chart(
        name="outage",
        title="An outage of the database, by the second",
        unit="messages/s",
        places=[float(second - course.outage_second) for second in seconds],
        series={
            "due": course.due[whole].astype(float).tolist(),
            "committed": course.committed[whole].astype(float).tolist(),
        },
        kind="lines",
        place_unit="seconds since the database was killed",
    )


def _growth_mib(outage: Outage) -> float:
    return (outage.most_bytes - outage.before_bytes) / MEBIBYTE


def _mib(size_bytes: int) -> float:
    return round(size_bytes / MEBIBYTE, 1)
