"""The knee is the last rate of a ramp that was answered in full and in time."""

import numpy as np

from penstock_simulator.fleet import Numbers
from penstock_simulator.knee import Step, knee, steps_of
from penstock_simulator.lateness import NEVER
from penstock_simulator.pace import Ramp

RAMP = Ramp(first=100, last=400, steps=4, step_seconds=1)
STARTED_US = 10**15
DUE_US = STARTED_US + (RAMP.due_seconds(np.arange(1_001, dtype=np.float64)) * 1e6).astype(np.int64)


def judged(latency_us: Numbers, *, due_us: Numbers = DUE_US) -> list[Step]:
    answered_us = np.where(latency_us == NEVER, NEVER, due_us + latency_us)
    return steps_of(RAMP, STARTED_US, due_us, answered_us, bound_ms=50)


def test_all_in_time_is_sustained_to_the_end() -> None:
    steps = judged(np.full(1_001, 2_000))
    assert [(step.rate, step.due, step.answered) for step in steps] == [
        (100, 100, 100),
        (200, 200, 200),
        (300, 300, 300),
        (400, 400, 400),
    ]
    assert knee(steps) == 400


def test_a_latency_that_grows_ends_it() -> None:
    behind_us = np.maximum(0, np.arange(1_001) - 450) * 1_000
    steps = judged(behind_us)
    assert [step.sustained for step in steps] == [True, True, False, False]
    assert knee(steps) == 200


def test_one_message_without_an_answer_ends_it() -> None:
    latency_us = np.full(1_001, 2_000)
    latency_us[150] = NEVER
    assert knee(judged(latency_us)) == 100


def test_a_step_after_a_failed_one_does_not_count() -> None:
    latency_us = np.full(1_001, 2_000)
    latency_us[:100] = 80_000
    assert knee(judged(latency_us)) is None


def test_a_step_that_the_run_did_not_get_through_is_not_judged() -> None:
    steps = judged(np.full(500, 2_000), due_us=DUE_US[:500])
    assert [step.rate for step in steps] == [100, 200]
    assert judged(np.zeros(0, dtype=np.int64), due_us=DUE_US[:0]) == []
