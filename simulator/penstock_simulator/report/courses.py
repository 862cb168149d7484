"""Columns of a record as lines over time, on an axis that all such charts of a record share."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock_simulator.report import figures, scales
from penstock_simulator.report.charts import Chart, Line, Mark, Stroke
from penstock_simulator.report.record import Record
from penstock_simulator.report.thinning import Reduce, stride, thinned

_LOGARITHMIC_FROM = 50.0
"""How many times the least the greatest latency is for the axis to be logarithmic."""
_LEAST_MS = 0.1
_MEMORY_STEPS = tuple(1_048_576.0 * 2**power for power in range(24))


class Course(NamedTuple):
    """A column over time, before it is drawn."""

    name: str
    tone: str
    column: Sequence[float | None]
    stroke: Stroke = "plain"


ScaleOf = Callable[[Sequence[float], figures.Written], scales.Scale]


def linear_scale(known: Sequence[float], written: figures.Written) -> scales.Scale:
    """An axis from 0."""
    return scales.linear(max(known), written)


def memory_scale(known: Sequence[float], written: figures.Written) -> scales.Scale:
    """An axis for bytes, with ticks at powers of two."""
    return scales.linear(max(known), written, steps=_MEMORY_STEPS)


def latency_scale(known: Sequence[float], written: figures.Written) -> scales.Scale:
    """An axis for latencies in ms, logarithmic where they differ much."""
    least, most = max(_LEAST_MS, min(known)), max(known)
    if most < _LOGARITHMIC_FROM * least:
        return scales.linear(most, written)
    return scales.logarithmic(least, most, written)


def over_time(
    record: Record,
    *,
    key: str,
    title: str,
    note: str,
    at: Sequence[float],
    courses: Sequence[Course],
    written: figures.Written,
    reduce: Reduce,
    scale: ScaleOf = linear_scale,
) -> Chart | None:
    """The chart of some columns, or None where nothing is known of any of them."""
    courses = [course for course in courses if len(course.column)]
    every = stride(len(at))
    lines = [Line(c.name, c.tone, thinned(c.column, every, reduce), c.stroke) for c in courses]
    known = values([line.values for line in lines])
    if not known:
        return None
    if every > 1:
        note += f" Each point stands for {every} seconds."
    return Chart(
        key=key,
        title=title,
        note=note,
        x_name="time",
        xs=[x for x in thinned(at, every, max) if x is not None],
        x_scale=scales.until(_last_second(record), figures.clock, steps=scales.TIME_STEPS),
        x_written=figures.clock,
        y_scale=scale(known, figures.shortened(written)),
        y_written=written,
        lines=lines,
        marks=[Mark(e.at_seconds, e.text, e.until_seconds) for e in record.events],
    )


def values(columns: Sequence[Sequence[float | None]]) -> list[float]:
    """All that is known in some columns."""
    return [value for column in columns for value in column if value is not None]


def _last_second(record: Record) -> float:
    ends = (record.timeline.at_seconds, record.samples.at_seconds)
    events = [event.until_seconds or event.at_seconds for event in record.events]
    return max([*(times[-1] for times in ends if times), *events, 1.0])
