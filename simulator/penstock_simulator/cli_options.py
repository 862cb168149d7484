"""Options that several commands have, and what can be said of their values before a run."""

import os
from pathlib import Path
from typing import Annotated

import typer

from penstock_simulator.fetching import fetched
from penstock_simulator.ramping import Ramping


def _writable(report: Path | None) -> Path | None:
    """Check before the run that its report can be written after it."""
    if report is not None:
        folder = report.absolute().parent
        if not folder.is_dir():
            raise typer.BadParameter(f"there is no folder {folder}")
        if not os.access(report if report.exists() else folder, os.W_OK):
            raise typer.BadParameter(f"{report} cannot be written")
    return report


def _with_metrics(url: str | None) -> str | None:
    """Check before the run that a daemon answers there."""
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise typer.BadParameter(f"{url} does not begin with http:// or https://")
        if "penstock_build_info" not in (fetched(url) or ""):
            raise typer.BadParameter(f"no Penstock answers at {url} with its metrics")
    return url


def _ramping(text: str) -> Ramping:
    try:
        return Ramping.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


RampTo = Annotated[
    Ramping | None,
    typer.Option(
        "--ramp",
        metavar="FROM:TO",
        parser=_ramping,
        help="Raise a scenario's rate from one to the other, and say what was kept up with.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=0xFFFFFFFF, help="Names and values follow from it; random without it."),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", dir_okay=False, callback=_writable, help="Write the account as JSON."
    ),
]
RecordFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        dir_okay=False,
        callback=_writable,
        help="Write all that is known of the run.",
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        dir_okay=False,
        callback=_writable,
        help="Write a page that shows the run, with plots.",
    ),
]
MetricsUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        callback=_with_metrics,
        help="The daemon's metrics, for the record: http://…/metrics.",
    ),
]
