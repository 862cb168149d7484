"""Results as they are read on the terminal and by programs.

The JSON of the short set has the keys that it always had, and beside them the occasion and the void
windows; everything else stands under `benchmarks`.
"""

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.catalogue import SHORT
from benchmarks.frame import Goal, Result, Table
from benchmarks.machine import Occasion


class Report(msgspec.Struct):
    """What a run has found so far."""

    occasion: Occasion
    results: dict[str, Result] = {}
    """By the benchmark's name."""
    failures: dict[str, str] = {}
    """Why a benchmark has no result, likewise."""


def show(console: Console, result: Result) -> None:
    """Print tables and notes, and the goals with their verdicts."""
    for table in result.tables:
        console.print(_on_terminal(table))
    for goal in result.goals:
        what, figure, bound, word = goal_row(goal)
        console.print(f"{what}: {figure} ({bound}: {word})", soft_wrap=True)
    for note in notes_of(result):
        console.print(note, soft_wrap=True)


def show_outcome(console: Console, report: Report) -> None:
    """Print all goals once more, in one table, and what could not be measured."""
    rows = [goal_row(goal) for result in report.results.values() for goal in result.goals]
    console.rule()
    console.print(_on_terminal(Table(title="Goals", columns=GOAL_COLUMNS, rows=rows)))
    for name, failure in report.failures.items():
        console.print(f"{name} could not be measured: {failure}", markup=False)


def in_json(report: Report) -> dict[str, Any]:
    """What `REPORT` files hold."""
    found: dict[str, Any] = msgspec.to_builtins(report.occasion)
    for result in (report.results[name] for name in SHORT if name in report.results):
        found |= {**result.figures, "void_windows": list(result.voids)}
    if set(report.results) - set(SHORT):
        found["benchmarks"] = {
            name: {
                "figures": result.figures,
                "goals": [_goal(goal) for goal in result.goals],
                "void_windows": list(result.voids),
            }
            for name, result in report.results.items()
        }
    if report.failures:
        found["failures"] = report.failures
    return found


GOAL_COLUMNS = ("goal", "measured", "bound", "")


def goal_row(goal: Goal) -> list[str]:
    """What is wanted, the figure, the bound, and `met`, `missed` or `void`."""
    bound = f"{_SIGNS[goal.better]} {_number(goal.bound)}"
    return [goal.what, _number(goal.figure), bound, _word(goal)]


def notes_of(result: Result) -> list[str]:
    """Sentences for those who read the figures."""
    voids = [f"Void windows: {'; '.join(result.voids)}."] if result.voids else []
    return [*result.notes, *voids]


def _on_terminal(table: Table) -> RichTable:
    shown = RichTable(*table.columns, title=table.title, title_justify="left")
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in table.rows:
        shown.add_row(*row)
    return shown


_SIGNS = {"higher": "≥", "lower": "≤"}


def _goal(goal: Goal) -> dict[str, Any]:
    return {**msgspec.to_builtins(goal), "met": goal.met}


def _word(goal: Goal) -> str:
    if goal.void:
        return "void"
    return "met" if goal.met else "missed"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1_000 else f"{figure:.3g}"
