"""How the commands print: results to standard output, everything about them to standard error.

Nothing that came with a message reaches a terminal as it is: control characters are escaped,
because a device must not be able to move an operator's cursor.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import typer

_SOME_ROOM = 20
_BETWEEN_COLUMNS = 3


def say(text: str) -> None:
    """Print a line of the result."""
    typer.echo(text)


def remark(text: str) -> None:
    """Print something about the result, which is not part of it."""
    typer.echo(text, err=True)


def complain(text: str) -> None:
    """Print why the command does not do what was asked."""
    remark(f"penstock: {text}")


def print_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns: ruled on a terminal, bare and as wide as they are elsewhere."""
    lines = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_ruled(heading, lines)
    else:
        _print_bare(heading, lines)


def printable(text: str) -> str:
    """`text` with everything that is not printable escaped, as in Python's literals."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def rfc3339(ts_us: int) -> str:
    """Microseconds since the epoch as UTC, as short as it can be without loss."""
    seconds, micros = divmod(ts_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return moment.isoformat().replace("+00:00", "Z")


def _print_bare(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widths = _widths(heading, lines)
    for line in (heading, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


def _print_ruled(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    table = Table(box=box.SIMPLE_HEAD)
    widths = _widths(heading, lines)
    whole = _kept_whole(widths, console.width)
    for name, width in zip(heading, widths, strict=True):
        table.add_column(name, overflow="fold", no_wrap=width <= whole)
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _widths(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(heading, *lines, strict=True)]


def _kept_whole(widths: Sequence[int], terminal_width: int) -> int:
    """The width up to which columns need not be folded to leave the wider ones some room."""
    wider = [width for width in widths if width > _SOME_ROOM]
    kept = sum(widths) - sum(wider)
    needed = kept + _SOME_ROOM * len(wider) + _BETWEEN_COLUMNS * len(widths)
    return _SOME_ROOM if needed <= terminal_width else 0
