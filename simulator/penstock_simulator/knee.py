"""Finds the highest rate of a ramp that was kept up with.

A step was kept up with when everything that was due in it was sent and answered, and the latency
from due to answered stayed bounded; so answers came as fast as messages were due, but for what the
bound moves into the next step. What an answer is, the caller decides: a PUBACK, or a committed row.
A step that was not kept up with ends nothing by itself: a backlog that it leaves keeps the steps
after it from being kept up with, and a hiccup does not.

A step in which the simulator itself had no more to give is marked, so that its limit is never told
as that of the ingestion.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock_simulator.effort import MOST_CPU_SHARE, Second
from penstock_simulator.fleet import Numbers
from penstock_simulator.lateness import NEVER
from penstock_simulator.pace import Ramp
from penstock_simulator.percentiles import Percentiles

_ROUNDING_SECONDS = 0.1


Verdict = Literal["knee", "end", "simulator", "below"]
"""The knee was found; the ramp ended before it; the simulator was the limit; not even the first
rate was kept up with."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a ramp, as it went."""

    rate: float
    """Messages a second that were offered."""
    due: int
    """Those of them that an answer is known for, or missed: well-formed ones, for a commit."""
    answered: int
    """Those of them that were answered, then or later."""
    due_per_second: float
    answered_per_second: float
    """While the step lasted, whenever they were due."""
    p50_ms: float | None
    """From due to answered."""
    p99_ms: float | None
    simulator_cpu: float | None
    """Share of one core."""
    simulator_limits: bool
    """Whether the simulator had no more to give."""
    kept_up: bool


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """How a ramp went."""

    until: Literal["committed", "acknowledged"]
    """What was waited for; commits are not known where no database was judged."""
    within_ms: float
    """What the 99th percentile may be."""
    steps: list[Step]
    """Those that were run to their end."""
    rate: float | None
    """The highest that was kept up with."""
    verdict: Verdict
    """What that rate is."""


class Times(NamedTuple):
    """When each message was due and answered, in µs since the run began; NEVER if it was not."""

    due_us: Numbers
    answered_us: Numbers


class Course(NamedTuple):
    """What a run of a ramp was like."""

    ran_seconds: float
    """For how long it published."""
    unsent_from_seconds: float
    """Since when something that was due had not been sent when it ended; inf for nothing."""
    seconds: Sequence[Second]
    """How hard the simulator had to work."""


def steps_of(ramp: Ramp, times: Times, course: Course, *, within_ms: float) -> list[Step]:
    """Judge each step that the run got through."""
    starts = ramp.starts_seconds.tolist()
    return [
        _step(rate, (starts[number], starts[number + 1]), times, course, within_ms)
        for number, rate in enumerate(ramp.rates.tolist())
        if starts[number + 1] <= course.ran_seconds + _ROUNDING_SECONDS
    ]


def verdict_on(steps: Sequence[Step]) -> tuple[float | None, Verdict]:
    """The highest rate that was kept up with, and what it is."""
    best = max((number for number, step in enumerate(steps) if step.kept_up), default=-1)
    rate = steps[best].rate if best >= 0 else None
    if best + 1 >= len(steps):
        return rate, "end"
    if steps[best + 1].simulator_limits:
        return rate, "simulator"
    return rate, "knee" if best >= 0 else "below"


class Told(NamedTuple):
    """What a ramp has shown, in words."""

    headline: str
    reason: str


def told(climb: Climb) -> Told:
    """What a ramp has shown."""
    rate = None if climb.rate is None else f"{climb.rate:,.0f} messages a second"
    bounded = f"99 % of the messages were {climb.until} within {climb.within_ms:,.0f} ms"
    match climb.verdict:
        case "knee":
            beyond = next(step.rate for step in climb.steps if step.rate > (climb.rate or 0))
            reason = f"So far {bounded} of when they were due; at {beyond:,.0f} no more."
            return Told(f"The knee is at {rate}", reason)
        case "end" if rate is not None:
            return Told(
                f"At least {rate}", f"{bounded} of when they were due, up to the end of the ramp."
            )
        case "simulator" if rate is not None:
            reason = f"So far {bounded}; beyond that the simulator was the limit."
            return Told(f"At least {rate}", reason)
        case "simulator":
            return Told("This shows nothing", "The simulator was the limit from the first step on.")
        case "below":
            least = f"{climb.steps[0].rate:,.0f} messages a second"
            return Told(f"Below {least}", "Not even the first rate of the ramp was kept up with.")
        case _:
            return Told("This shows nothing", "No step of the ramp was run to its end.")


def _step(
    rate: float, span: tuple[float, float], times: Times, course: Course, within_ms: float
) -> Step:
    start, stop = span
    in_step = _within(times.due_us, span)
    known = in_step & (times.answered_us != NEVER)
    waits = Percentiles.of(times.answered_us[known] - times.due_us[known])
    due, answered = int(in_step.sum()), int(known.sum())
    followed = int(_within(times.answered_us, span).sum())  # NEVER is before any step
    cpu, limits = _effort(course.seconds, span, within_ms)
    return Step(
        rate=rate,
        due=due,
        answered=answered,
        due_per_second=due / (stop - start),
        answered_per_second=followed / (stop - start),
        p50_ms=waits.p50,
        p99_ms=waits.p99,
        simulator_cpu=cpu,
        simulator_limits=limits,
        kept_up=(
            0 < due == answered
            and waits.p99 is not None
            and waits.p99 <= within_ms
            and stop <= course.unsent_from_seconds
        ),
    )


def _within(times_us: Numbers, span: tuple[float, float]) -> NDArray[np.bool_]:
    start_us, stop_us = (round(edge * 1e6) for edge in span)
    return (times_us >= start_us) & (times_us < stop_us)


def _effort(
    seconds: Sequence[Second], span: tuple[float, float], within_ms: float
) -> tuple[float | None, bool]:
    """The simulator's CPU in a step, and whether it was the limit.

    It was when it used up a core, or was away from its schedule for so long that this alone may
    have broken the bound.
    """
    start, stop = span
    # By the middle of each second, so that none counts for two steps.
    inside = [second for second in seconds if start <= second.at_seconds - 0.5 < stop]
    # A step may be shorter than a second.
    inside = inside or [each for each in seconds if each.at_seconds > (start + stop) / 2][:1]
    if not inside:
        return None, False
    cpu = sum(second.cpu_share for second in inside) / len(inside)
    gap_ms = max(second.worst_gap_seconds for second in inside) * 1e3
    return cpu, cpu > MOST_CPU_SHARE or gap_ms > within_ms / 2
