"""`penstock doctor`: what would cost data or speed."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.configuration import ConfigFile, FileArgument, one_of, settings_from
from penstock.cli.exits import ExitCode

if TYPE_CHECKING:
    from penstock.cli.doctor.finding import Finding


def doctor(
    file: FileArgument = None,
    config: ConfigFile = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Say what would cost data or speed.

    Asks the broker, the database, the spool's disk and the running daemon. Nothing is changed,
    nothing is taken from the daemon's session, and nothing is left behind. The exit status is 5
    when there is a problem, which loses data or stops the daemon, and 0 when there is none:
    warnings and notes do not count.
    """
    import logging

    from penstock.cli.doctor.examination import examine
    from penstock.cli.doctor.finding import has_problem
    from penstock.cli.doctor.report import print_json, print_text

    settings = settings_from(one_of(file, config))
    logging.getLogger("penstock.mqtt").setLevel(logging.CRITICAL)  # the findings say it better
    findings: list[Finding] = asyncio.run(examine(settings))
    (print_json if json else print_text)(findings)
    if has_problem(findings):
        raise typer.Exit(ExitCode.REFUSED)
