"""Says on what a benchmark ran, and what it measured: the machine, the commit, the date."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec

_ROOT = Path(__file__).parents[1]


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be known to repeat a run."""

    machine: str
    commit: str
    date: str
    command: str


def occasion_of(command: str) -> Occasion:
    """The occasion of a run that begins now."""
    return Occasion(
        machine=describe_machine(),
        commit=_describe_commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        command=command,
    )


def describe_machine() -> str:
    """Processor, cores, load and kernel in a line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start,"
        f" Linux {platform.release()}, Python {platform.python_version()}"
    )


def _describe_commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return "unknown"
    return f"{commit} with changes" if _git("status", "--porcelain", "-uno") else commit


def _git(*arguments: str) -> str | None:
    """What git says; nothing outside a repository or without git."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, *arguments], cwd=_ROOT, check=False, capture_output=True, text=True)
    return None if done.returncode else done.stdout.strip()
