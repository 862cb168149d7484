"""Prints what became of a scenario: by group, by tenant, and all together."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from penstock_simulator.account import Account, TenantAccount
from penstock_simulator.statement import print_account

_MOST_TENANTS = 20


def print_accounts(console: Console, accounts: Mapping[str, Account], whole: Account) -> None:
    """Print the account of each group, of each tenant, and of all together."""
    if len(accounts) > 1:
        console.print()
        console.print(_by_group(accounts))
    console.print()
    console.print(_by_tenant(whole.tenants))
    print_account(console, whole)


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
    return "-" if value is None else f"{value:,.1f}"
