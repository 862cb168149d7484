"""The charts of a ramp: what became of the load, over the rate that was offered."""

from collections.abc import Sequence

from penstock_simulator.knee import Climb, told
from penstock_simulator.report import figures, scales
from penstock_simulator.report.charts import Chart, Line, Mark
from penstock_simulator.report.courses import ScaleOf, latency_scale, linear_scale, values

_TONES = {"committed": "database", "acknowledged": "broker"}


def ramp(climb: Climb) -> list[Chart]:
    """What became of each rate that was offered, and how late it was."""
    steps = climb.steps
    if not steps:
        return []
    due = Line("due", "simulator", [step.due_per_second for step in steps], "broad")
    answered = [step.answered_per_second for step in steps]
    rates = _over_offered(
        climb,
        key="ramp-rate",
        title=f"Due and {climb.until}",
        note="Messages a second while each step of the ramp lasted, over the rate offered in it."
        + (" Malformed ones are in neither line." if climb.until == "committed" else ""),
        lines=[due, Line(climb.until, _TONES[climb.until], answered)],
        written=figures.per_second,
        scale=linear_scale,
    )
    waits = _over_offered(
        climb,
        key="ramp-latency",
        title=f"Latency until {climb.until}",
        note="Of what was due in each step, over the rate offered in it. A p99 of up to"
        f" {figures.milliseconds(climb.within_ms)} counts as kept up.",
        lines=[
            Line("p50", _TONES[climb.until], [step.p50_ms for step in steps], "faint"),
            Line("p99", _TONES[climb.until], [step.p99_ms for step in steps]),
            Line("bound of p99", "simulator", [climb.within_ms] * len(steps), "faint"),
        ],
        written=figures.milliseconds,
        scale=latency_scale,
    )
    return [rates, waits]


def _over_offered(
    climb: Climb,
    *,
    key: str,
    title: str,
    note: str,
    lines: Sequence[Line],
    written: figures.Written,
    scale: ScaleOf,
) -> Chart:
    offered = [step.rate for step in climb.steps]
    known = values([line.values for line in lines])
    marks = []
    if climb.rate is not None:
        name = "knee" if climb.verdict == "knee" else "at least"
        marks.append(Mark(climb.rate, told(climb).headline, label=f"{name} {climb.rate:,.0f}/s"))
    return Chart(
        key=key,
        title=title,
        note=note,
        x_name="offered",
        xs=offered,
        x_scale=scales.linear(offered[-1], figures.short_count),
        x_written=figures.per_second,
        y_scale=scale(known, figures.shortened(written)),
        y_written=written,
        lines=lines,
        marks=marks,
    )
