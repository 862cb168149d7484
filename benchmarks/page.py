"""Results as docs/benchmarks.md shows them.

The page keeps its text; only what is between its two marks is written anew, with the charts beside
it as SVG: the goals of all benchmarks first, then each with its tables, charts and notes.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import CATALOGUE
from benchmarks.documents import GOAL_COLUMNS, Report, goal_row, notes_of
from benchmarks.frame import Goal, Result, Table
from benchmarks.machine import Occasion

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write_page(report: Report, page: Path = PAGE) -> None:
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
    for result in report.results.values():
        for chart in result.charts:
            write_chart(chart, folder / f"{chart.name}.svg")
    page.write_text(f"{before}{BEGIN}\n\n{in_markdown(report, folder.name)}\n{END}{after}")


def in_markdown(report: Report, charts: str) -> str:
    """The results as they stand in the page, whose charts are in the folder `charts`."""
    blocks = ["## The last run", _occasion(report.occasion)]
    if any(result.goals for result in report.results.values()):
        blocks += ["## Goals", _goals(report)]
    for name, benchmark in CATALOGUE.items():
        if name in report.results:
            blocks += [f"## {benchmark.title}", *_section(report.results[name], charts)]
        elif name in report.failures:
            failure = report.failures[name].partition("\n")[0]
            blocks += [f"## {benchmark.title}", f"It could not be measured: {failure}"]
    return "\n\n".join(blocks) + "\n"


def _occasion(occasion: Occasion) -> str:
    return (
        f"- Machine: {occasion.machine}\n"
        f"- Commit: `{occasion.commit}`, on {occasion.date}\n"
        f"- Command: `{occasion.command}`"
    )


def _goals(report: Report) -> str:
    rows = [
        _goal(goal, CATALOGUE[name].title, noted=bool(result.notes))
        for name, result in report.results.items()
        for goal in result.goals
    ]
    return _table(Table(title="", columns=GOAL_COLUMNS, rows=rows))


def _goal(goal: Goal, title: str, *, noted: bool) -> list[str]:
    """A row that links to the benchmark; what was missed, to what the notes there say of it."""
    what, figure, bound, word = goal_row(goal)
    link = f"(#{title.lower().replace(' ', '-')})"
    if word == "missed":
        word = f"**missed** ([notes]{link})" if noted else "**missed**"
    return [f"[{what}]{link}", figure, bound, word]


def _section(result: Result, charts: str) -> list[str]:
    blocks = [
        *(f"**{table.title}**\n\n{_table(table)}" for table in result.tables),
        *(f"![{chart.title}]({charts}/{chart.name}.svg)" for chart in result.charts),
        "\n".join(f"- {note}" for note in notes_of(result)),
    ]
    return [block for block in blocks if block]


def _table(table: Table) -> str:
    """Figures stand on the right of their columns."""
    columns = list(zip(*table.rows, strict=True))[1:]
    rule = ["---", *("---:" if _are_figures(cells) else "---" for cells in columns)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [table.columns, rule, *table.rows])


def _are_figures(cells: Sequence[str]) -> bool:
    return all(cell.lstrip("≥≤ ")[:1].isdigit() or not cell for cell in cells)
