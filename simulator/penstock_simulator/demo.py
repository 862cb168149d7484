"""The demonstration: the scenario `demo` on a stack of its own, and its account."""

import json
from pathlib import Path

from rich.console import Console

from penstock_simulator.account import Account
from penstock_simulator.report.files import Files
from penstock_simulator.running import run_on_own_stack
from penstock_simulator.scenario_files import find
from penstock_simulator.scenario_plan import Plan
from penstock_simulator.statement import print_account


def demonstrate(
    console: Console, *, seconds: float, report: Path | None, seed: int, command: str, files: Files
) -> Account:
    """Run the demonstration and return its account, which has been printed.

    Raises:
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied, or the daemon ended by itself.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    found = find("demo")
    plan = Plan(found, rate=found.scenario.rate, seconds=seconds, seed=seed)
    run, judged = run_on_own_stack(console, plan)
    assert judged is not None
    account = judged.account
    print_account(console, account)
    files.write(lambda: run.record(command, judged))
    if report is not None:
        report.write_text(json.dumps(account.report(), indent=2) + "\n")
    return account
