"""Runs one experiment, and makes its result."""

import time
from pathlib import Path

from penstock.sandbox import SandboxError
from tests.faults.experiment import HELD, Experiment, Result
from tests.faults.servers import Servers
from tests.faults.trial import DRAIN_SECONDS, Trial
from tests.support.daemon_process import PENSTOCK

INVARIANTS = ("lost", "duplicates", "invented", "corrupt")
"""Counts that must be 0."""


def run(
    experiment: Experiment,
    servers: Servers,
    folder: Path,
    seed: int,
    *,
    long: bool,
    command: tuple[str, ...] = PENSTOCK,
    drain_seconds: float = DRAIN_SECONDS,
) -> Result:
    """Do one experiment in an empty folder; what goes wrong in it is its verdict."""
    started_seconds = time.monotonic()
    with Trial(
        servers, folder, seed, long=long, command=command, drain_seconds=drain_seconds
    ) as trial:
        try:
            experiment.body(trial)
        except (AssertionError, SandboxError) as error:
            trial.problems.append(str(error) or "an assertion failed")
        counts = trial.conclude()
    problems = [f"{name}: {counts[name]}" for name in INVARIANTS if counts[name]] + trial.problems
    return Result(
        fault=experiment.number,
        title=experiment.title,
        runs=trial.runs,
        redelivered=trial.redeliveries.count,
        recovery_seconds=trial.recovery_seconds,
        verdict="; ".join(problems) or HELD,
        took_seconds=round(time.monotonic() - started_seconds, 1),
        **counts,
    )
