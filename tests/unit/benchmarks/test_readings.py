"""Rates of readings become medians by case, and the goal is for the best that counts."""

from benchmarks.line_rate import Measured
from benchmarks.noise import Noise
from benchmarks.readings import CASES, result_of

QUIET, NOISY = Noise(), Noise(foreign=0.5)


def measured(messages: float, noise: Noise = QUIET) -> Measured:
    return Measured(messages, 100, 0.1, noise=noise, readings_per_message=100)


def test_the_goal_is_for_the_best_that_counts() -> None:
    slow, fast, noisy, mixed = CASES
    result = result_of(
        {
            slow: [measured(3_000)],
            fast: [measured(6_000)],
            noisy: [measured(9_000, NOISY)] * 2,
            mixed: [measured(4_000), measured(9_000, NOISY)],
        }
    )
    (goal,) = result.goals
    assert (goal.figure, goal.met, goal.void) == (600_000, True, False)
    assert fast.name in goal.what
    assert list(result.voids) == [f"{noisy.name}: 2 of 2", f"{mixed.name}: 1 of 2"]


def test_where_nothing_counts_the_goal_is_void() -> None:
    result = result_of({case: [measured(6_000, NOISY)] for case in CASES})
    assert result.goals[0].void
