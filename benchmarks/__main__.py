"""`python -m benchmarks [NAME…] [--full]`: tables and JSON; `--full --docs`: docs/benchmarks.md.

A benchmark that fails does not stop the others, and what was measured is shown and written. The
exit status is 0 when all was measured, whatever the figures; 1 when a measurement could not be
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
from benchmarks.documents import Report, in_json, show, show_outcome
from benchmarks.frame import BenchError, Context
from benchmarks.machine import occasion_of
from benchmarks.page import write_page
from penstock.sandbox import SandboxError
from penstock_simulator.oracle import OracleError
from penstock_simulator.stack import StackError

EXPECTED = (BenchError, SandboxError, StackError, OracleError)
SECONDS, RUNS, OUTAGE_SECONDS = 5.0, 3, 20.0


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help=f"Of {', '.join(CATALOGUE)}.")
    ] = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="All of them.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JSON.")] = None,
    docs: Annotated[
        bool, typer.Option("--docs", help="Write docs/benchmarks.md; with --full.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each window.")] = SECONDS,
    runs: Annotated[int, typer.Option(min=1, help="Windows of each subject.")] = RUNS,
    outage_seconds: Annotated[
        float, typer.Option(min=1, help="Length of each outage.")
    ] = OUTAGE_SECONDS,
) -> None:
    """Measure Penstock."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if docs and not full:
        raise typer.BadParameter("--docs writes the whole page anew, so it needs --full")
    chosen = _chosen(names or [], full=full)
    context = Context(Console(), seconds, runs, outage_seconds)
    measured = Report(occasion_of(_command(chosen, context)))
    context.console.print(measured.occasion.machine, soft_wrap=True)
    if context == context._replace(seconds=SECONDS, runs=RUNS, outage_seconds=OUTAGE_SECONDS):
        minutes = sum(CATALOGUE[name].minutes for name in chosen)
        context.console.print(f"It takes about {minutes:.0f} min.")
    for name in chosen:
        _measure(name, context, measured)
        if report is not None:  # each time, so that what ends the run costs no more than the rest
            report.write_text(json.dumps(in_json(measured), indent=2) + "\n")
    if len(chosen) > 1:
        show_outcome(context.console, measured)
    if docs:
        write_page(measured)
    raise typer.Exit(1 if measured.failures else 0)


def _measure(name: str, context: Context, report: Report) -> None:
    context.console.rule(CATALOGUE[name].title)
    try:
        report.results[name] = CATALOGUE[name].measure(context)
    except EXPECTED as error:
        report.failures[name] = str(error)
        context.console.print(f"{name}: {error}", style="bold red", markup=False)
    except Exception as error:  # noqa: BLE001 - it must not take the others' results with it
        report.failures[name] = f"{type(error).__name__}: {error}"
        context.console.print_exception()
    else:
        show(context.console, report.results[name])


def _chosen(names: list[str], *, full: bool) -> list[str]:
    unknown = sorted(set(names) - set(CATALOGUE))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(CATALOGUE)}")
    if full:
        return list(CATALOGUE)
    return [name for name in CATALOGUE if name in (names or SHORT)]


def _command(chosen: list[str], context: Context) -> str:
    """What measures the same again, and where it is all of them, writes the page."""
    names = ["--full", "--docs"] if chosen == list(CATALOGUE) else chosen
    options = [
        f"{option} {value:g}"
        for option, value, default in (
            ("--seconds", context.seconds, SECONDS),
            ("--runs", context.runs, RUNS),
            ("--outage-seconds", context.outage_seconds, OUTAGE_SECONDS),
        )
        if value != default
    ]
    return " ".join([".venv/bin/python -m benchmarks", *names, *options])


if __name__ == "__main__":
    typer.run(main)
