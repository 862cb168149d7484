"""Results as people and programs read them: on the terminal, as JSON, and as docs/benchmarks.md.

The page keeps its text; only what is between its two marks is written anew, with the charts beside
it as SVG. The JSON of the short set has the keys that it always had; everything else stands under
`benchmarks`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.catalogue import CATALOGUE, SHORT
from benchmarks.frame import Goal, Result, Table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Results = Mapping[str, Result]


def show(console: Console, result: Result) -> None:
    """Print tables, goals and notes."""
    for table in result.tables:
        console.print(_on_terminal(table))
    for goal in result.goals:
        console.print(f"{goal.what}: {_verdict(goal)}", soft_wrap=True)
    for note in result.notes:
        console.print(note, soft_wrap=True)


def report_of(machine: str, results: Results) -> dict[str, Any]:
    """What `REPORT` files hold."""
    report: dict[str, Any] = {}
    for name in SHORT:
        if name in results:
            report |= results[name].figures
    if set(results) - set(SHORT):
        report["machine"] = machine
        report["benchmarks"] = {
            name: {"figures": result.figures, "goals": [_goal(goal) for goal in result.goals]}
            for name, result in results.items()
        }
    return report


def write_page(machine: str, results: Results, page: Path = PAGE) -> None:
    """Put the results between the marks of the page, and the charts beside it.

    Raises:
        ValueError: the page has lost its marks.
    """
    from benchmarks.charts import write_chart  # noqa: PLC0415 - measuring does without matplotlib

    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} … {END}")
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    for result in results.values():
        for chart in result.charts:
            write_chart(chart, folder / f"{chart.name}.svg")
    figures = in_markdown(machine, results, folder.name)
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{after}")


def in_markdown(machine: str, results: Results, charts: str) -> str:
    """The results as they stand in the page, whose charts are in the folder `charts`."""
    blocks = [f"Measured on {machine}.", _goals_in_markdown(results)]
    for name, result in results.items():
        blocks.append(f"## {CATALOGUE[name].title}")
        blocks += [_in_markdown(table) for table in result.tables]
        blocks += [f"![{chart.title}]({charts}/{chart.name}.svg)" for chart in result.charts]
        blocks += result.notes
    return "\n\n".join(blocks) + "\n"


def _goals_in_markdown(results: Results) -> str:
    rows = [
        [
            goal.what,
            _number(goal.figure),
            f"{_SIGNS[goal.better]} {_number(goal.bound)}",
            _word(goal),
        ]
        for result in results.values()
        for goal in result.goals
    ]
    return _in_markdown(Table(title="Goals", columns=["", "measured", "goal", ""], rows=rows))


def _in_markdown(table: Table) -> str:
    lines = [table.columns, ["---", *("---:" for _ in table.columns[1:])], *table.rows]
    return f"**{table.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


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


def _verdict(goal: Goal) -> str:
    bound = f"{_SIGNS[goal.better]} {_number(goal.bound)}"
    return f"{_number(goal.figure)} ({bound}: {_word(goal)})"


def _word(goal: Goal) -> str:
    return ("met" if goal.met else "missed") + (", void" if goal.void else "")


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1_000 else f"{figure:.3g}"
