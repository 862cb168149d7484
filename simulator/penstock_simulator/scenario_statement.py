"""Prints what became of a scenario: by group, by tenant, and all together."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from penstock_simulator.account import Account, TenantAccount
from penstock_simulator.knee import Climb, told
from penstock_simulator.statement import print_account

_MOST_TENANTS = 20
_NO_TENTHS_FROM_MS = 100.0


def print_accounts(console: Console, accounts: Mapping[str, Account], whole: Account) -> None:
    """Print the account of each group, of each tenant, and of all together."""
    if len(accounts) > 1:
        console.print()
        console.print(_by_group(accounts))
    console.print()
    console.print(_by_tenant(whole.tenants))
    print_account(console, whole)


def print_climb(console: Console, climb: Climb) -> None:
    """Print each step of a ramp, and what it has shown."""
    table = _table("offered/s", f"{climb.until}/s", "p50 ms", "p99 ms", "simulator", "kept up")
    for step in climb.steps:
        cpu = "-" if step.simulator_cpu is None else f"{step.simulator_cpu:.0%} of a core"
        table.add_row(
            f"{step.rate:,.0f}",
            f"{step.answered_per_second:,.0f}",
            _milliseconds(step.p50_ms),
            _milliseconds(step.p99_ms),
            f"[yellow]{cpu}, the limit" if step.simulator_limits else cpu,
            "[green]yes" if step.kept_up else "[red]no",
        )
    console.print()
    console.print(table)
    console.print()
    said = told(climb)
    console.print(f"[bold]{said.headline}.[/] {said.reason}")


def _by_group(accounts: Mapping[str, Account]) -> Table:
    table = _table(
        "group", "published", "acknowledged", "readings", "dead letters", "p50 ms", "p99 ms", "lost"
    )
    for name, account in accounts.items():
        table.add_row(
            name,
            f"{account.published:,}",
            f"{account.acknowledged:,}",
            f"{account.stored_readings:,}",
            f"{sum(account.dead_lettered.values()):,}",
            _milliseconds(account.latency_ms.p50),
            _milliseconds(account.latency_ms.p99),
            _fault(account.lost),
        )
    return table


def _by_tenant(tenants: Mapping[str, TenantAccount]) -> Table:
    table = _table("tenant", "published", "acknowledged", "readings", "dead letters", "lost")
    for name, tenant in _shown(tenants):
        table.add_row(
            name,
            f"{tenant.published:,}",
            f"{tenant.acknowledged:,}",
            f"{tenant.stored_readings:,}",
            f"{tenant.dead_lettered:,}",
            _fault(tenant.lost),
        )
    if len(tenants) > _MOST_TENANTS:
        table.add_row(f"[dim]and {len(tenants) - _MOST_TENANTS} more")
    return table


def _shown(tenants: Mapping[str, TenantAccount]) -> Iterable[tuple[str, TenantAccount]]:
    """Those that lost something first, then by name."""
    ordered = sorted(tenants.items(), key=lambda item: (not item[1].lost, item[0]))
    return ordered[:_MOST_TENANTS]


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _fault(count: int) -> str:
    return f"[bold {'red' if count else 'green'}]{count:,}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= _NO_TENTHS_FROM_MS else f"{value:.1f}"
