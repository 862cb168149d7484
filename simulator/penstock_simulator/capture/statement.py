"""Prints the account of a replay, and the summary of a capture, for people."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock_simulator.capture.account import ReplayAccount
from penstock_simulator.capture.reconciliation import Reconciliation
from penstock_simulator.capture.summary import Summary
from penstock_simulator.percentiles import Percentiles
from penstock_simulator.statement import LABELS

_LABELS = {**LABELS, "letters_missing": "dead letters missing"}


def print_replay(console: Console, account: ReplayAccount) -> None:
    """Print what was published, what was found of it, and what does not add up."""
    console.print()
    console.print(_table(_facts(account)))
    if account.reconciliation is not None:
        console.print(_table(_findings(account.reconciliation)))
    console.print()
    for line in verdict(account):
        console.print(line, soft_wrap=True)


def verdict(account: ReplayAccount) -> Iterable[str]:
    """What it comes to, in coloured sentences: green only where a loss would have shown."""
    found = account.reconciliation
    if account.refused:
        yield f"[bold red]The broker refused {account.refused:,} messages."
    if account.unanswered:
        yield (
            f"[bold yellow]The broker did not answer {account.unanswered:,} messages,"
            " whose loss would not show."
        )
    if found is None:
        return
    some = f"{found.unconfirmed_stored:,} of {found.unconfirmed_readings:,} unconfirmed readings"
    if found.faults:
        faults = ", ".join(f"{_LABELS[name]} {n:,}" for name, n in found.faults.items())
        yield f"[bold red]It does not add up: {faults}."
    elif not (found.confirmed or found.unconfirmed_readings):
        yield "[bold yellow]Nothing was to be stored of it, so this shows nothing."
    elif found.nothing_new:
        yield "[bold yellow]All of it was in the database before, so this shows nothing."
    elif not found.confirmed:
        colour = "red" if found.vain else "yellow"
        yield (f"[bold {colour}]{some} stored; nothing was acknowledged, so a loss would not show.")
    elif found.unconfirmed_stored < found.unconfirmed_readings:
        yield f"[bold green]Every acknowledged reading is accounted for;[/] {some} stored."
    else:
        yield "[bold green]Every reading is accounted for."


def print_summary(console: Console, summary: Summary) -> None:
    """Print what a capture holds."""
    console.print(
        _table(
            [
                ("began", summary.began_at),
                ("subscribed to", escape(", ".join(summary.filters))),
                ("seconds", f"{summary.seconds:,.1f}"),
                ("messages", f"{summary.messages:,}"),
                ("topics", f"{summary.topics:,}"),
                ("payload bytes", f"{summary.payload_bytes:,}"),
                ("largest payload", f"{summary.largest_payload_bytes:,}"),
                *((f"QoS {qos}", f"{count:,}") for qos, count in summary.by_qos.items()),
                ("retained", f"{summary.retained:,}"),
                *((f"payloads: {kind}", f"{n:,}") for kind, n in summary.by_kind.items()),
                *((f"under {escape(level)}/", f"{n:,}") for level, n in summary.by_level.items()),
            ]
        )
    )
    if summary.truncated:
        console.print("[bold yellow]The end of it is missing: the recording was cut off.")


def _facts(account: ReplayAccount) -> Iterable[tuple[str, str]]:
    yield "messages in the capture", f"{account.captured:,}"
    yield "messages published", f"{account.published:,}"
    yield "messages acknowledged", f"{account.acknowledged:,}"
    for name in ("unanswered", "refused", "reconnects"):
        if getattr(account, name):
            yield name, f"{getattr(account, name):,}"
    yield "messages per second", f"{account.messages_per_second:,.0f}"
    yield from _percentiles("due to sent", account.unsent_ms)
    yield from _percentiles("due to acknowledged", account.acknowledged_ms)
    if account.workload is not None:
        yield "own CPU, share of a core", f"{account.workload.cpu_share:.2f}"


def _percentiles(name: str, times: Percentiles) -> Iterable[tuple[str, str]]:
    if times.count:
        yield f"{name}, p50", f"{times.p50:,.1f} ms"
        yield f"{name}, p99", f"{times.p99:,.1f} ms"


def _findings(found: Reconciliation) -> Iterable[tuple[str, str]]:
    yield "readings expected", f"{found.expected_readings:,}"
    yield "readings stored", f"{found.stored_readings:,}"
    if found.stored_before:
        yield "of these, stored before", f"{found.stored_before:,}"
    yield from _percentiles("due to committed", found.committed_ms)
    if found.unconfirmed_readings:
        yield "unconfirmed readings", f"{found.unconfirmed_readings:,}"
        yield "of these, stored", f"{found.unconfirmed_stored:,}"
    if found.unrouted_messages:
        yield "messages that no route takes", f"{found.unrouted_messages:,}"
    for reason in sorted(found.letters_expected | found.letters_found):
        due, there = found.letters_expected.get(reason, 0), found.letters_found.get(reason, 0)
        yield f"[dim]dead letters:[/] {reason}", f"{there:,} of {due:,}"
    for name in found.INVARIANTS:
        count = getattr(found, name)
        yield _LABELS[name], f"[bold {'red' if count else 'green'}]{count:,}"


def _table(rows: Iterable[Sequence[str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return table
