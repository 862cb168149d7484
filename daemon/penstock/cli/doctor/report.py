"""Prints findings, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from penstock.cli.doctor.finding import Finding, Level
from penstock.cli.output import printable, say

_LEVEL_WIDTH = max(map(len, Level))


def print_text(findings: Sequence[Finding]) -> None:
    """Part by part: the level, the sentence, and below it what to do; the count at the end."""
    for line in text_lines(findings):
        say(line)


def print_json(findings: Sequence[Finding]) -> None:
    """A JSON object a line: level, check, text, advice."""
    for finding in findings:
        say(msgspec.json.encode(finding).decode())


def text_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """What `print_text` prints. Nothing that came from outside can move a cursor."""
    part = ""
    for finding in findings:
        if finding.part != part:
            part = finding.part
            yield part
        yield f"  {finding.level:<{_LEVEL_WIDTH}}  {printable(finding.text)}"
        if finding.advice:
            yield f"  {'':<{_LEVEL_WIDTH}}  → {printable(finding.advice)}"
    yield _summary(findings)


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.level for finding in findings)
    numbers = [
        f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}"
        for level in (Level.PROBLEM, Level.WARNING, Level.NOTE)
    ]
    return f"{', '.join(numbers)}, {counts[Level.OK]} ok"
