"""Makes of what a run of a ramp sent, and of what judges found, how the ramp went.

All times are taken from when each group began, which is the same moment for all.
"""

import math
from collections.abc import Sequence

import numpy as np

from penstock_simulator.effort import Effort
from penstock_simulator.fleet import Numbers
from penstock_simulator.judge import Judge
from penstock_simulator.knee import Climb, Course, Times, steps_of, verdict_on
from penstock_simulator.lateness import NEVER, lateness_of
from penstock_simulator.ledger import Ledger
from penstock_simulator.ramping import Ramping


def climb_of(
    ramping: Ramping,
    seconds: float,
    sent: Sequence[tuple[Ledger, Judge | None]],
    effort: Effort,
) -> Climb:
    """How the ramp of a run that was to last so many seconds went.

    Commits are what counts where they are known of any group, and else what the broker has
    acknowledged of those of QoS 1.
    """
    times = [_commits(ledger, judge) for ledger, judge in sent if judge is not None]
    known = any((each.answered_us != NEVER).any() for each in times)
    if not known:
        times = [_acknowledgements(ledger) for ledger, _ in sent if ledger.fleet.qos]
    due_before = effort.elapsed_seconds - ramping.within_ms / 1e3
    course = Course(
        ran_seconds=effort.elapsed_seconds,
        unsent_from_seconds=min(_unsent_from(ledger, due_before) for ledger, _ in sent),
        seconds=effort.seconds,
    )
    steps = steps_of(ramping.pace(seconds), _joined(times), course, within_ms=ramping.within_ms)
    rate, verdict = verdict_on(steps)
    return Climb(
        until="committed" if known else "acknowledged",
        within_ms=ramping.within_ms,
        steps=steps,
        rate=rate,
        verdict=verdict,
    )


def _commits(ledger: Ledger, judge: Judge) -> Times:
    due_us, committed_us = judge.fates()
    answered_us = np.where(committed_us > 0, committed_us - _began_us(ledger), NEVER)
    return Times(due_us - _began_us(ledger), answered_us)


def _acknowledgements(ledger: Ledger) -> Times:
    began_us, times = _began_us(ledger), lateness_of(ledger)
    known = times.acknowledged_us != NEVER
    answered_us = np.where(known, times.acknowledged_us - began_us, NEVER)
    return Times(times.due_us - began_us, answered_us)


def _unsent_from(ledger: Ledger, due_before: float) -> float:
    """When the first message was due that had not been sent in the end; inf where there is none.

    What was due no sooner than `due_before` is not missed: it may have been under way.
    """
    schedule = ledger.schedule
    assert schedule is not None, "a ramp has a schedule"
    firsts = [
        float(schedule.due_us(number, np.array([lane.sent]))[0]) / 1e6
        for number, lane in ledger.lanes.items()
    ]
    return min((at for at in firsts if at < due_before), default=math.inf)


def _joined(times: Sequence[Times]) -> Times:
    columns = zip(*times, strict=True) if times else ((), ())
    return Times(*(np.concatenate([_NO_TIMES, *column]) for column in columns))


def _began_us(ledger: Ledger) -> int:
    return next(iter(ledger.lanes.values())).started_us


_NO_TIMES: Numbers = np.zeros(0, dtype=np.int64)
