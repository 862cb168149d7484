"""Penstock and others under the same load, in saturation and through a restart of the database.

All subjects have the same broker, under the configuration that we ship, and the same database
server; the same messages of three readings at QoS 1; and a table of the same columns and index, but
that Penstock's has a number in place of the names. In saturation all of them always find messages
waiting. The restart is at half of what each took in saturation, and at 2,000 messages a second at
most.

The oracle reads what everybody stored. What a peer loses or doubles is no error here, but what is
being measured. What it alters is one, because then we have configured it wrong; and whatever does
not add up of Penstock's is.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from benchmarks.frame import BenchError, Context, Result, median
from benchmarks.line_rate import BACKLOG, MakeSubject, Measured, measure_fleet, new_fleet, tell
from benchmarks.peers.figures import PENSTOCK, Contender, result_of
from benchmarks.peers.known import known_peers
from benchmarks.peers.restart import measure_restart
from benchmarks.peers.running import running_peer
from benchmarks.subjects import Bench, penstock
from penstock import sandbox
from penstock_simulator.account import Account

MOST_RESTART_RATE = 2_000.0
PEER_BACKLOG = 5_000
"""Messages that wait for a peer, which is a quarter of a second of the fastest."""


class _Subject(NamedTuple):
    make: MakeSubject
    backlog: int


def measure_peers(context: Context) -> Result:
    """Measure whoever can be run here.

    Raises:
        BenchError: a measurement could not be made, or what was stored is not what was sent.
    """
    known = known_peers()
    for sentence in known.left_out:
        context.console.print(sentence)
    subjects = {
        peer.name: _Subject(partial(running_peer, peer), PEER_BACKLOG) for peer in known.peers
    }
    subjects[PENSTOCK] = _Subject(penstock, BACKLOG)
    with _servers() as (bench, postgres):
        windows = _saturate(context, bench, subjects)
        contenders = {}
        for name, subject in subjects.items():
            rate = restart_rate(median(windows[name], lambda w: w.messages_per_second))
            account = measure_restart(bench, postgres, subject.make, rate=rate)
            check_unaltered(name, account)
            _tell_restart(context, name, rate, account)
            contenders[name] = Contender(windows[name], rate, account)
    if not contenders[PENSTOCK].restart.holds:
        raise BenchError(f"what Penstock stored does not add up: {contenders[PENSTOCK].restart}")
    return result_of(contenders, known.left_out)


def check_unaltered(name: str, account: Account) -> None:
    """See that every row is one that was sent.

    Raises:
        BenchError: one is not.
    """
    if account.corrupt or account.invented:
        raise BenchError(f"{name} stored what was not sent: {account.faults}")


def restart_rate(saturation: float) -> float:
    """The rate of the run with the restart, by what the subject took in saturation."""
    return min(MOST_RESTART_RATE, saturation / 2)


@contextmanager
def _servers() -> Iterator[tuple[Bench, sandbox.Postgres]]:
    """Servers of our own, whatever the environment names: one of them is restarted."""
    with (
        sandbox.scratch_folder() as folder,
        sandbox.Broker(folder / "broker") as broker,
        sandbox.Postgres(folder / "postgres") as postgres,
    ):
        yield Bench(folder, broker.url, postgres.dsn), postgres


def _saturate(
    context: Context, bench: Bench, subjects: Mapping[str, _Subject]
) -> Mapping[str, list[Measured]]:
    windows: dict[str, list[Measured]] = defaultdict(list)
    for run in range(context.runs):
        for name, subject in subjects.items():
            measured = measure_fleet(
                bench,
                subject.make,
                new_fleet(1, 0),
                seconds=context.seconds,
                backlog=subject.backlog,
                trusted=name == PENSTOCK,
            )
            assert measured.account is not None, "every subject stores"
            check_unaltered(name, measured.account)
            windows[name].append(measured)
            tell(context, f"run {run + 1}, {name}", measured)
    return windows


def _tell_restart(context: Context, name: str, rate: float, account: Account) -> None:
    context.console.print(
        f"restart of the database, {name}, {rate:,.0f} messages/s: of"
        f" {account.expected_readings:,} acknowledged readings {account.lost:,} were lost,"
        f" {account.duplicates:,} doubled",
        soft_wrap=True,
    )
