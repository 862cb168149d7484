"""What the command line does with scenarios: run one, list them, say which routes one needs."""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml
from rich.console import Console
from rich.padding import Padding

from penstock_simulator.account import Account
from penstock_simulator.judged import Judged
from penstock_simulator.ledger import Ledger
from penstock_simulator.oracle import examine
from penstock_simulator.ramping import Ramping
from penstock_simulator.report.files import Files
from penstock_simulator.running import Elsewhere, run_elsewhere, run_on_own_stack
from penstock_simulator.scenario_files import Found, find, shipped
from penstock_simulator.scenario_plan import Plan
from penstock_simulator.scenario_statement import print_accounts, print_climb

_INDENT = 2
_WIDTH = 100


class Wishes(NamedTuple):
    """What the command line says of a run; what is None is left to the scenario."""

    rate: float | None
    ramping: Ramping | None
    seconds: float | None
    seed: int | None
    ledger: Path | None
    command: str
    files: Files


def play(
    console: Console, name: str, wishes: Wishes, elsewhere: Elsewhere | None
) -> Account | None:
    """Run a scenario, and print what became of it; no account when no database was named.

    Raises:
        ConfigError: there is no such scenario, or it has faults.
        ValueError: it cannot be had at that rate.
    """
    found = find(name)
    scenario = found.scenario
    seed = random.SystemRandom().getrandbits(32) if wishes.seed is None else wishes.seed
    plan = _plan(found, wishes, seed)
    console.print(f"[bold]{found.name}[/]  {scenario.story}")
    if plan.ramping is not None:
        console.print(plan.remark)
    elif scenario.disturbances and elsewhere is not None:
        console.print("What it does to its stack is left out: this one is not its own.")
    if elsewhere is None:
        run, judged = run_on_own_stack(console, plan, ledger=wishes.ledger)
    else:
        run, judged = run_elsewhere(console, plan, elsewhere, ledger=wishes.ledger)
    wishes.files.write(lambda: run.record(wishes.command, judged))
    if judged is not None:
        print_accounts(console, judged.accounts, judged.account)
    climb = run.climb(judged)
    if climb is not None:
        print_climb(console, climb)
    run.see_that_some_were_taken()
    return None if judged is None else judged.account


def _plan(found: Found, wishes: Wishes, seed: int) -> Plan:
    scenario = found.scenario
    seconds = scenario.duration_seconds if wishes.seconds is None else wishes.seconds
    ramping = wishes.ramping or (scenario.ramp if wishes.rate is None else None)
    if ramping is not None:
        if not seconds:
            raise ValueError("a ramp needs a duration that is not 0")
        level = found._replace(scenario=scenario.level)
        return Plan(level, rate=ramping.to_rate, seconds=seconds, seed=seed, ramping=ramping)
    rate = scenario.rate if wishes.rate is None else wishes.rate
    if not rate:
        raise ValueError("a scenario needs a rate that is not 0")
    return Plan(found, rate=rate, seconds=seconds, seed=seed)


def judge_ledgers(dsn: str, ledgers: Mapping[str, Ledger]) -> Judged:
    """Judge a database by what was sent.

    Raises:
        OracleError: the database could not be reached or read.
    """

    async def judge() -> Judged:
        return Judged.of({name: await examine(dsn, own) for name, own in ledgers.items()})

    return asyncio.run(judge())


def list_scenarios(console: Console) -> None:
    """Print all that are shipped, with their stories."""
    for name, scenario in shipped():
        console.print(
            f"[bold]{name}[/]  [dim]{scenario.size:,} devices, {scenario.rate:,.0f} messages/s,"
            f" {scenario.duration_seconds:,.0f} s"
        )
        story = Padding(scenario.story, (0, 0, 1, _INDENT))
        console.print(story, width=min(console.width, _WIDTH))


def routes_of(name: str) -> str:
    """The routes that a daemon needs for a scenario, as its configuration has them.

    Raises:
        ConfigError: there is no such scenario, or it has faults.
    """
    return yaml.safe_dump({"routes": find(name).scenario.routes}, sort_keys=False)
