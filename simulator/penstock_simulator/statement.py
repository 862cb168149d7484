"""Prints an account for people."""

from rich.console import Console
from rich.table import Table

from penstock_simulator.account import Account

LABELS = {
    "lost": "lost",
    "duplicates": "duplicates",
    "corrupt": "corrupt",
    "invented": "invented",
    "both": "stored and dead-lettered",
    "refused": "dead-lettered though well-formed",
    "misjudged": "dead-lettered for a wrong reason",
}
"""What people call the counts that must be 0."""


def print_account(console: Console, account: Account) -> None:
    """Print what was sent, what was stored, and what does not add up."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, value in _facts(account):
        table.add_row(name, value)
    table.add_row()
    for reason, count in account.dead_lettered.items():
        table.add_row(f"[dim]dead letters:[/] {reason}", f"{count:,}")
    for name, count in (
        ("repeated dead letters", account.repeated_dead_letters),
        ("readings stamped on receipt twice", account.restamped),
    ):
        if count:
            table.add_row(f"[dim]allowed after a crash:[/] {name}", f"{count:,}")
    table.add_row()
    for name in account.INVARIANTS:
        count = getattr(account, name)
        table.add_row(LABELS[name], f"[bold {'red' if count else 'green'}]{count:,}")
    console.print()
    console.print(table)
    console.print()
    if account.holds:
        console.print("[bold green]Every reading is accounted for.")
    else:
        faults = ", ".join(f"{LABELS[name]} {n:,}" for name, n in account.faults.items())
        console.print(f"[bold red]It does not add up: {faults}.")


def _facts(account: Account) -> list[tuple[str, str]]:
    latency = account.latency_ms
    return [
        ("messages published", f"{account.published:,}"),
        ("messages acknowledged", f"{account.acknowledged:,}"),
        ("readings expected", f"{account.expected_readings:,}"),
        ("readings stored", f"{account.stored_readings:,}"),
        ("messages per second", f"{account.messages_per_second:,.0f}"),
        ("readings per second", f"{account.readings_per_second:,.0f}"),
        ("published to committed, p50", _milliseconds(latency.p50)),
        ("published to committed, p99", _milliseconds(latency.p99)),
    ]


def _milliseconds(value: float | None) -> str:
    return "unknown without track_commit_timestamp" if value is None else f"{value:,.1f} ms"
