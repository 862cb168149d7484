"""`python -m benchmarks [NAME…] [--full]`: tables and JSON; with `--docs`, docs/benchmarks.md.

The exit status is 0 when it was measured, whatever the figures; 1 when a measurement could not be
made, or when something that was stored does not add up.
"""

import json
import logging
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from benchmarks.catalogue import CATALOGUE, SHORT
from benchmarks.documents import report_of, show, write_page
from benchmarks.frame import BenchError, Context, Result
from benchmarks.machine import describe_machine


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help=f"Of {', '.join(CATALOGUE)}.")
    ] = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="All of them.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JSON.")] = None,
    docs: Annotated[bool, typer.Option("--docs", help="Write docs/benchmarks.md.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each window.")] = 5,
    runs: Annotated[int, typer.Option(min=1, help="Windows of each subject.")] = 3,
) -> None:
    """Measure Penstock."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console, machine = Console(), describe_machine()
    chosen = _chosen(names or [], full=full)
    console.print(machine, soft_wrap=True)
    results: dict[str, Result] = {}
    for name in chosen:
        console.rule(CATALOGUE[name].title)
        try:
            results[name] = CATALOGUE[name].measure(Context(console, seconds, runs))
        except BenchError as error:
            console.print(f"[bold red]{error}")
            raise typer.Exit(1) from error
        show(console, results[name])
    if report is not None:
        report.write_text(json.dumps(report_of(machine, results), indent=2) + "\n")
    if docs:
        write_page(machine, results)


def _chosen(names: list[str], *, full: bool) -> list[str]:
    unknown = sorted(set(names) - set(CATALOGUE))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(CATALOGUE)}")
    if full:
        return list(CATALOGUE)
    return [name for name in CATALOGUE if name in (names or SHORT)]


if __name__ == "__main__":
    typer.run(main)
