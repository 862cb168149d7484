"""`penstock-sim`: publishes simulated fleets, verifies what was stored, and demonstrates both.

Exit status: 0 when every invariant holds; 1 when one is broken; 2 for unusable arguments; 3 when
it could not be done, which says nothing about the daemon; 130 when it was interrupted before
there was an account.
"""

import json
import random
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
import uvloop
from rich.console import Console

from penstock_simulator.account import Account
from penstock_simulator.capture.commands import inspect, record, replay
from penstock_simulator.cli_endings import BROKEN, UNDONE, told_errors
from penstock_simulator.cli_options import MetricsUrl, Page, RampTo, RecordFile, Report, Seed
from penstock_simulator.demo import demonstrate
from penstock_simulator.fetching import fetched
from penstock_simulator.fleet import TELEMETRY, Fleet, step_for
from penstock_simulator.ledger import save
from penstock_simulator.publisher import Publisher, see_that_some_were_taken
from penstock_simulator.report.files import Files
from penstock_simulator.report.machine import command_line
from penstock_simulator.running import Elsewhere
from penstock_simulator.sampling import Sampler, Sources
from penstock_simulator.scenario_commands import (
    Wishes,
    judge_ledgers,
    list_scenarios,
    play,
    routes_of,
)
from penstock_simulator.scenario_ledgers import load_ledgers
from penstock_simulator.scenario_statement import print_accounts
from penstock_simulator.statement import print_account
from penstock_simulator.undertaking import Undertaking

_RATE, _SECONDS = 2_000.0, 30.0
_OF_A_PLAIN_FLEET = ("tenants", "devices", "metrics", "connections", "qos", "malformed", "topic")

program = typer.Typer(
    name="penstock-sim",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Simulated sensors that load Penstock and check what it stored.",
    epilog=(
        "Exit status: 0 every invariant holds, 1 one is broken, 2 unusable arguments, "
        "3 it could not be done, 130 interrupted."
    ),
)


def main(name: str = "penstock-sim") -> None:
    """Run the command line, as the program of that name."""
    program.info.name = name
    program(prog_name=name)


@program.command()
def run(
    *,
    context: typer.Context,
    scenario: Annotated[
        str | None,
        typer.Argument(help="A name of `scenarios`, or the path of a YAML file; needs no --url."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="mqtt://[user:password@]host[:port]; load this broker.")
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what was sent, for `verify`; one for each group."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            show_default="the scenario's, or 2000",
            help="Messages/s in all; 0 is unlimited, without a scenario.",
        ),
    ] = None,
    ramp: RampTo = None,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0, show_default="the scenario's, or 30", help="Seconds; 0 is until Ctrl-C."
        ),
    ] = None,
    tenants: Annotated[int, typer.Option(min=1)] = 3,
    devices: Annotated[int, typer.Option(min=1, help="Of each tenant.")] = 40,
    metrics: Annotated[int, typer.Option(min=1, max=1_000, help="Of each device.")] = 3,
    connections: Annotated[int, typer.Option(min=1, help="Over which devices are spread.")] = 4,
    qos: Annotated[int, typer.Option(min=0, max=1)] = 1,
    malformed: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of messages that are malformed.")
    ] = 0,
    topic: Annotated[str, typer.Option(help="Template with {tenant} and {device}.")] = TELEMETRY,
    seed: Seed = None,
    dsn: Annotated[
        str | None, typer.Option(help="Judge this database afterwards; see also `verify`.")
    ] = None,
    daemon: MetricsUrl = None,
    record: RecordFile = None,
    page: Page = None,
) -> None:
    """Publish a scenario's readings, or a plain fleet's, and account for what was acknowledged.

    A scenario without --url runs on a broker, a database and a daemon of its own. The options from
    --tenants to --topic are for a plain fleet.
    """
    if scenario is not None:
        _refuse(context, _OF_A_PLAIN_FLEET, "is the scenario's to say")
        if ramp is not None:
            _refuse(context, ("rate",), "contradicts --ramp")
        wishes = Wishes(rate, ramp, duration, seed, ledger, _command(), Files(record, page))
        elsewhere = None if url is None else Elsewhere(url, dsn, daemon)
        if elsewhere is None:
            _refuse(context, ("dsn", "daemon"), "needs --url")
        with told_errors(program.info.name):
            _end(play(Console(), scenario, wishes, elsewhere))
    _refuse(context, ("ramp",), "needs a scenario")
    if url is None:
        raise typer.BadParameter("give --url, or a scenario, which brings a broker of its own")
    rate = _RATE if rate is None else rate
    every = round(1 / malformed) if malformed else 0
    with told_errors(program.info.name):
        fleet = Fleet(
            seed=_seed(seed),
            start_us=time.time_ns() // 1_000,
            step_us=step_for(rate, size=tenants * devices, malformed_every=every),
            tenants=tenants,
            devices=devices,
            metrics=metrics,
            lanes=connections,
            malformed_every=every,
            topic=topic,
            qos=qos,
        )
        undertaking = Undertaking(
            Publisher(url, fleet, rate=rate),
            Sampler(Sources(exposition=partial(fetched, daemon) if daemon else None)),
            dsn=dsn,
        )
        try:
            judge = uvloop.run(undertaking.run(_SECONDS if duration is None else duration))
        finally:
            if ledger is not None:
                save(undertaking.publisher.ledger, ledger)
        Files(record, page).write(lambda: undertaking.record(_command(), judge))
        see_that_some_were_taken(
            undertaking.publisher.ledger.acknowledged, undertaking.publisher.refused
        )
    if judge is not None:
        account = judge.account()
        print_account(Console(), account)
        _end(account)


@program.command()
def scenarios() -> None:
    """List the scenarios that are there, with their stories."""
    list_scenarios(Console())


@program.command()
def routes(
    scenario: Annotated[str, typer.Argument(help="A name, or the path of a YAML file.")],
) -> None:
    """Print the routes that a daemon of your own needs for a scenario."""
    with told_errors(program.info.name):
        typer.echo(routes_of(scenario), nl=False)


@program.command()
def verify(
    *,
    dsn: Annotated[str, typer.Option(help="The database to judge.")],
    ledger: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="What was sent; once for each process and group."),
    ],
    report: Report = None,
) -> None:
    """Reconcile a database with what was sent: what is lost, doubled, altered or invented?"""
    with told_errors(program.info.name):
        judged = judge_ledgers(dsn, load_ledgers(ledger))
    account = judged.account
    print_accounts(Console(), judged.accounts, account)
    if report is not None:
        report.write_text(json.dumps(msgspec.to_builtins(account), indent=2) + "\n")
    if not account.acknowledged and not account.stored_readings:
        typer.echo("Nothing was acknowledged or stored, so this shows nothing.", err=True)
        raise typer.Exit(UNDONE)
    _end(account)


@program.command()
def demo(
    *,
    duration: Annotated[float, typer.Option(min=0, help="Seconds; 0 is until Ctrl-C.")] = 30,
    report: Report = None,
    record: RecordFile = None,
    page: Page = None,
    seed: Seed = None,
) -> None:
    """Run Penstock on private servers, load it, and account for every reading."""
    with told_errors(program.info.name):
        account = demonstrate(
            Console(),
            seconds=duration,
            report=report,
            seed=_seed(seed),
            command=_command(),
            files=Files(record, page),
        )
    _end(account)


program.command()(record)
program.command()(replay)
program.command()(inspect)


def _end(account: Account | None) -> NoReturn:
    raise typer.Exit(0 if account is None or account.holds else BROKEN)


def _refuse(context: typer.Context, options: Iterable[str], why: str) -> None:
    """Refuse options that were given and would mean nothing."""
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name} {why}")


def _command() -> str:
    return command_line(program.info.name or "penstock-sim", sys.argv[1:])


def _seed(given: int | None) -> int:
    return random.SystemRandom().getrandbits(32) if given is None else given
