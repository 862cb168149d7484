"""What the doctor has to say: one finding a check. Pure."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is; in rising order."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    WARNING = "warning"
    """It costs speed, or data in a case that has not come yet."""
    PROBLEM = "problem"
    """It loses data, or stops the daemon."""


class Finding(msgspec.Struct, frozen=True):
    """The outcome of one check."""

    level: Level
    check: str
    """`part.name`, stable, for programs to go by."""
    text: str
    """What is so, in a sentence with its number."""
    advice: str = ""
    """What to do; empty when there is nothing to do."""

    @property
    def part(self) -> str:
        """What it is about: `broker`, `database`, `spool` or `daemon`."""
        return self.check.partition(".")[0]


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, check, text)


def note(check: str, text: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(Level.NOTE, check, text, advice)


def warning(check: str, text: str, advice: str) -> Finding:
    """It costs something."""
    return Finding(Level.WARNING, check, text, advice)


def problem(check: str, text: str, advice: str) -> Finding:
    """It loses data, or stops the daemon."""
    return Finding(Level.PROBLEM, check, text, advice)


def has_problem(findings: Iterable[Finding]) -> bool:
    """Whether any of them is worse than a warning."""
    return any(finding.level is Level.PROBLEM for finding in findings)
