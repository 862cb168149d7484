"""Finds the highest rate of a ramp that was sustained.

A step is sustained when everything that was due in it has been answered and the latency from due
to answered stayed bounded. What an answer is, the caller decides: a PUBACK, or a committed row.
"""

from typing import NamedTuple

import numpy as np

from penstock_simulator.fleet import Numbers
from penstock_simulator.lateness import NEVER
from penstock_simulator.pace import Ramp
from penstock_simulator.percentiles import Percentiles


class Step(NamedTuple):
    """A step of a ramp, as it went."""

    rate: float
    """Messages a second that were due."""
    due: int
    """Messages that were due in it and were sent, then or later."""
    answered: int
    latency: Percentiles
    """From due to answered."""
    sustained: bool


def steps_of(
    ramp: Ramp, started_us: int, due_us: Numbers, answered_us: Numbers, *, bound_ms: float
) -> list[Step]:
    """Judge each step that the run got through.

    Args:
        ramp: the pace of the run.
        started_us: when the run began.
        due_us: when each message was due.
        answered_us: when it was answered, or NEVER.
        bound_ms: what the 99th percentile of the latency may be.
    """
    edges_us = started_us + (ramp.starts_seconds * 1e6).astype(np.int64)
    steps = []
    for number, rate in enumerate(ramp.rates.tolist()):
        if not len(due_us) or edges_us[number + 1] > due_us.max():
            break  # the run ended within this step
        within = (due_us >= edges_us[number]) & (due_us < edges_us[number + 1])
        answered = within & (answered_us != NEVER)
        latency = Percentiles.of(answered_us[answered] - due_us[answered])
        due, count = int(within.sum()), int(answered.sum())
        bounded = latency.p99 is not None and latency.p99 <= bound_ms
        steps.append(Step(rate, due, count, latency, bounded and count == due))
    return steps


def knee(steps: list[Step]) -> float | None:
    """The rate of the last step before the first that was not sustained; None if there is none."""
    best = None
    for step in steps:
        if not step.sustained:
            break
        best = step.rate
    return best
