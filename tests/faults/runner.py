"""Runs experiments side by side, each in a process and with servers of its own.

What always holds: a result is on the disk as soon as it is there, so a run that was interrupted can
be resumed; an experiment whose process fails has a result that says so; and the seed of an
experiment follows from that of the run and its number alone.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec
import pytest

from penstock import sandbox
from tests.faults.catalogue import EXPERIMENTS
from tests.faults.experiment import Experiment, Result
from tests.faults.running import run
from tests.faults.servers import Servers
from tests.faults.trial import DRAIN_SECONDS
from tests.support.daemon_process import BROKEN, PENSTOCK

BROKEN_DRAIN_SECONDS = 20.0
"""How long a broken build may take to come to rest."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to run experiments."""

    seed: int
    short: bool
    build: str | None
    """A build that is broken on purpose; `None` for the real one."""
    folder: Path
    """Where the results are kept."""

    def result_path(self, number: int) -> Path:
        """Where the result of an experiment is kept."""
        return self.folder / f"{number}.json"

    def command(self, number: int) -> list[str]:
        """What runs one experiment in a process of its own."""
        command = [sys.executable, "-m", "tests.faults", "--one", str(number)]
        command += ["--seed", str(self.seed), "--results", str(self.folder)]
        if self.short:
            command.append("--short")
        if self.build is not None:
            command += ["--build", self.build]
        return command


def run_all(plan: Plan, numbers: Sequence[int], jobs: int) -> Iterator[Result]:
    """Run experiments, so many at a time; their results as they come, earlier ones first."""
    for number in numbers:
        if plan.result_path(number).exists():
            yield _load(plan.result_path(number))
    missing = [number for number in numbers if not plan.result_path(number).exists()]
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_run_in_process, plan, number) for number in missing]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for waiting in running:
                waiting.cancel()


def run_one(plan: Plan, number: int) -> Result:
    """Run one experiment here, and keep its result."""
    try:
        result = _run_here(plan, number)
    except pytest.skip.Exception as reason:
        result = _not_done(EXPERIMENTS[number], f"not done: {reason}")
    plan.result_path(number).write_bytes(msgspec.json.encode(result))
    return result


def _run_here(plan: Plan, number: int) -> Result:
    command = PENSTOCK if plan.build is None else (*BROKEN, plan.build)
    with (
        sandbox.scratch_folder() as folder,
        Servers(folder) as servers,
        tempfile.TemporaryDirectory(prefix="fault-") as trial_folder,
    ):
        return run(
            EXPERIMENTS[number],
            servers,
            Path(trial_folder),
            plan.seed * 1_000 + number,
            long=not plan.short,
            command=command,
            drain_seconds=DRAIN_SECONDS if plan.build is None else BROKEN_DRAIN_SECONDS,
        )


def _run_in_process(plan: Plan, number: int) -> Result:
    path = plan.result_path(number)
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        done = subprocess.run(
            plan.command(number), check=False, stdout=output, stderr=subprocess.STDOUT
        )
    if not path.exists():
        why = f"it could not be done (status {done.returncode}): {_last_line(log)}"
        return _not_done(EXPERIMENTS[number], why)
    return _load(path)


def _not_done(experiment: Experiment, why: str) -> Result:
    return Result(
        fault=experiment.number,
        title=experiment.title,
        runs=0,
        acknowledged=0,
        redelivered=0,
        lost=0,
        duplicates=0,
        invented=0,
        corrupt=0,
        recovery_seconds=None,
        verdict=why,
        took_seconds=0.0,
    )


def _last_line(log: Path) -> str:
    return "".join(log.read_text(errors="replace").strip().splitlines()[-1:])


def _load(path: Path) -> Result:
    return msgspec.json.decode(path.read_bytes(), type=Result)
