"""Runs a scenario on a stack of its own, or against somebody else's broker."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from rich.console import Console

from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock_simulator.fetching import fetched
from penstock_simulator.judged import Judged
from penstock_simulator.picture import TerminalView
from penstock_simulator.report.machine import without_passwords
from penstock_simulator.sampling import Sources
from penstock_simulator.scenario_ledgers import save_ledgers
from penstock_simulator.scenario_plan import Loaded, Plan
from penstock_simulator.scenario_run import ScenarioRun
from penstock_simulator.stack import Stack, StackError, running_stack
from penstock_simulator.watching import LineView, PublishingView, View


class Done(NamedTuple):
    """A run that is over."""

    run: ScenarioRun
    judged: Judged | None
    """None where no database was named."""


class Elsewhere(NamedTuple):
    """A broker that is there already, and what is known of what is behind it."""

    url: str
    dsn: str | None = None
    metrics_url: str | None = None


def run_on_own_stack(console: Console, plan: Plan, *, ledger: Path | None = None) -> Done:
    """Run it on a broker, a database and a daemon that start for it and end with it.

    Raises:
        ValueError: a group cannot be had at the plan's rate.
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied, or the daemon ended by itself.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    scenario = plan.found.scenario
    scenario.fleets(scale=plan.rate / scenario.rate, seed=plan.seed, start_us=0)
    _check_private(plan)
    console.print(_beginning(), style="dim", soft_wrap=True)
    with running_stack(overrides_of(scenario.routes)) as stack:
        loaded = Loaded(stack.mqtt_url, stack.sources, stack.dsn, stack)
        return _run(plan, loaded, _view(console, stack, plan), ledger)


def run_elsewhere(
    console: Console, plan: Plan, elsewhere: Elsewhere, *, ledger: Path | None = None
) -> Done:
    """Load somebody else's broker; nothing is done to what is behind it.

    Raises:
        ValueError: a URL is none, or a group cannot be had at the plan's rate.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    metrics_url = elsewhere.metrics_url
    exposition: Callable[[], str | None] | None = None
    view: View = PublishingView(console, seconds=plan.seconds)
    if metrics_url is not None:
        exposition, view = partial(fetched, metrics_url), LineView(console)
    loaded = Loaded(elsewhere.url, Sources(exposition=exposition), elsewhere.dsn)
    done = _run(plan, loaded, view, ledger)
    console.print(done.run.summary, soft_wrap=True)
    return done


def overrides_of(routes: list[dict[str, Any]]) -> dict[str, str]:
    """Routes as the environment gives them to a daemon."""
    return {
        f"ROUTES__{position}__{key.upper()}": value
        for position, route in enumerate(routes)
        for key, value in route.items()
    }


def _run(plan: Plan, loaded: Loaded, view: View, ledger: Path | None) -> Done:
    run = ScenarioRun(plan, loaded, view)
    try:
        return Done(run, uvloop.run(run.run()))
    finally:
        if ledger is not None:
            save_ledgers(run.ledgers, ledger)


def _check_private(plan: Plan) -> None:
    """Nothing is done to a server that somebody has named."""
    for disturbance in plan.found.scenario.disturbances:
        variable = {"broker": MQTT_VARIABLE, "database": DSN_VARIABLE}.get(disturbance.server)
        if variable is not None and os.environ.get(variable):
            raise StackError(
                f"this scenario stops its {disturbance.server}, but not the one that {variable}"
                " names"
            )


def _beginning() -> str:
    broker, database = (
        f"the {kind} of {variable}" if os.environ.get(variable) else f"a private {kind}"
        for kind, variable in (("broker", MQTT_VARIABLE), ("database server", DSN_VARIABLE))
    )
    return f"Starting Penstock with {broker} and {database} …"


def _rate(plan: Plan) -> str:
    ramping = plan.ramping
    most = f"{plan.rate:,.0f}"
    return most if ramping is None else f"{ramping.from_rate:,.0f} to {most}"


def _view(console: Console, stack: Stack, plan: Plan) -> View:
    if not console.is_terminal:
        return LineView(console)
    name, scenario = plan.found
    return TerminalView(
        console,
        title=f"{name}: {scenario.size:,} devices, {_rate(plan)} messages/s",
        footer=(
            f"broker    {without_passwords(stack.mqtt_url)}\n"
            f"database  {without_passwords(stack.dsn)}\n"
            f"daemon    http://127.0.0.1:{stack.daemon.port}/health, /metrics"
        ),
        seconds=plan.seconds,
    )
