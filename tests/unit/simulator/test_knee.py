"""The knee is the highest rate of a ramp that was answered in full and in time."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from penstock_simulator.effort import Second
from penstock_simulator.fleet import Numbers
from penstock_simulator.knee import Climb, Course, Step, Times, steps_of, told, verdict_on
from penstock_simulator.lateness import NEVER
from penstock_simulator.pace import Ramp

RAMP = Ramp(first=100, last=400, steps=4, step_seconds=1)
DUE_US = np.rint(RAMP.due_seconds(np.arange(1_001, dtype=np.float64)) * 1e6).astype(np.int64)
EASY = [Second(at_seconds=float(at), cpu_share=0.2, worst_gap_seconds=0.003) for at in range(1, 5)]


def judged(
    latency_us: Numbers,
    *,
    ran_seconds: float = 4.0,
    unsent_from_seconds: float = math.inf,
    seconds: Sequence[Second] = EASY,
) -> list[Step]:
    due_us = DUE_US[: len(latency_us)]
    answered_us = np.where(latency_us == NEVER, NEVER, due_us + latency_us)
    course = Course(ran_seconds, unsent_from_seconds, seconds)
    return steps_of(RAMP, Times(due_us, answered_us), course, within_ms=50)


def prompt(count: int = 1_001) -> Numbers:
    return np.full(count, 2_000)


def kept_up(steps: list[Step]) -> list[bool]:
    return [step.kept_up for step in steps]


def test_all_in_time_is_kept_up_with_to_the_end() -> None:
    steps = judged(prompt())
    assert [(step.rate, step.due, step.answered) for step in steps] == [
        (100, 100, 100),
        (200, 200, 200),
        (300, 300, 300),
        (400, 400, 400),
    ]
    assert verdict_on(steps) == (400, "end")


def test_a_latency_that_grows_ends_it() -> None:
    steps = judged(np.maximum(0, np.arange(1_001) - 450) * 1_000)
    assert kept_up(steps) == [True, True, False, False]
    assert verdict_on(steps) == (200, "knee")


def test_one_message_without_an_answer_ends_it() -> None:
    latency_us = prompt()
    latency_us[150] = latency_us[450] = latency_us[900] = NEVER
    assert verdict_on(judged(latency_us)) == (100, "knee")


def test_a_hiccup_on_the_way_ends_nothing() -> None:
    latency_us = prompt()
    latency_us[110:120] = 80_000
    steps = judged(latency_us)
    assert kept_up(steps) == [True, False, True, True]
    assert verdict_on(steps) == (400, "end")


def test_what_was_due_and_never_sent_ends_it() -> None:
    steps = judged(prompt(), unsent_from_seconds=2.5)
    assert kept_up(steps) == [True, True, False, False]


def test_a_step_that_the_run_did_not_get_through_is_not_judged() -> None:
    steps = judged(prompt(500), ran_seconds=2.7)
    assert [step.rate for step in steps] == [100, 200]
    assert judged(prompt(0), ran_seconds=0.4) == []


@pytest.mark.parametrize(("cpu", "gap_seconds"), [(0.95, 0.003), (0.2, 0.04)])
def test_a_simulator_that_was_the_limit_leaves_no_knee(cpu: float, gap_seconds: float) -> None:
    hard = [EASY[0], EASY[1], Second(3.0, cpu, gap_seconds), Second(4.0, cpu, gap_seconds)]
    steps = judged(np.maximum(0, np.arange(1_001) - 450) * 1_000, seconds=hard)
    assert [step.simulator_limits for step in steps] == [False, False, True, True]
    assert verdict_on(steps) == (200, "simulator")


@pytest.mark.parametrize(
    ("latency_us", "ran_seconds", "headline"),
    [
        (np.maximum(0, np.arange(1_001) - 450) * 1_000, 4.0, "The knee is at 200 messages"),
        (prompt(), 4.0, "At least 400 messages a second"),
        (prompt() * 100, 4.0, "Below 100 messages a second"),
        (prompt(5), 0.2, "This shows nothing"),
    ],
)
def test_it_is_told_in_words(latency_us: Numbers, ran_seconds: float, headline: str) -> None:
    steps = judged(latency_us, ran_seconds=ran_seconds)
    rate, verdict = verdict_on(steps)
    climb = Climb(until="committed", within_ms=50, steps=steps, rate=rate, verdict=verdict)
    assert told(climb).headline.startswith(headline)
