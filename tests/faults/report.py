"""What a run of the suite showed, for machines and for people."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.faults.experiment import Result

_HEAD = (
    "fault", "runs", "acknowledged", "redelivered", "lost", "duplicate", "invented", "corrupt",
    "seconds to recover", "verdict",
)  # fmt: skip


def save(results: Sequence[Result], path: Path) -> None:
    """Write the results as JSON, and beside it as a Markdown table (`.md`)."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    path.with_suffix(".md").write_text("\n".join(table(results)) + "\n")


def table(results: Sequence[Result]) -> Iterable[str]:
    """The lines of a Markdown table."""
    yield _row(_HEAD)
    yield _row("---" if name in {"fault", "verdict"} else "---:" for name in _HEAD)
    for result in results:
        yield _row(
            [
                f"{result.fault}. {result.title}",
                *(
                    f"{count:,}"
                    for count in (
                        result.runs,
                        result.acknowledged,
                        result.redelivered,
                        result.lost,
                        result.duplicates,
                        result.invented,
                        result.corrupt,
                    )
                ),
                _seconds(result.recovery_seconds),
                result.verdict.replace("|", "/"),
            ]
        )


def line(result: Result) -> str:
    """A result in a line, for a terminal."""
    return (
        f"{result.fault:>2}  {result.took_seconds:>6.1f} s  {result.runs:>5,} runs "
        f"{result.acknowledged:>9,} acknowledged  {result.verdict:<6}  {result.title}"
    )


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f}"  # noqa: RUF001 - a dash, for people


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
