"""Penstock and others under the same load, in saturation and through a restart of the database.

All subjects have the same broker, under the configuration that we ship, and the same database
server; the same messages of three readings at QoS 1; and a table of the same columns and index, but
that Penstock's has a number in place of the names. In saturation all of them always find messages
waiting. The restart is at half of what each took in saturation, and at 2,000 messages a second at
most.

The oracle reads what everybody stored. What a peer loses or doubles is no error here, but what is
being measured. What it alters is one, because then we have configured it wrong; and whatever does
not add up of Penstock's is. A peer of which something cannot be measured is left out, and named;
but for Penstock and the plain script, without whom there is nothing to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks.frame import BenchError, Context, Result, median
from benchmarks.line_rate import MakeSubject, Measured, measure_fleet, new_fleet, tell
from benchmarks.peers.figures import PENSTOCK, Contender, result_of
from benchmarks.peers.known import PLAIN, known_peers
from benchmarks.peers.restart import measure_restart
from benchmarks.peers.running import running_peer
from benchmarks.subjects import Bench, penstock
from penstock import sandbox
from penstock_simulator.account import Account

MOST_RESTART_RATE = 2_000.0


_NEEDED = (PLAIN, PENSTOCK)


def measure_peers(context: Context) -> Result:
    """Measure whoever can be run here.

    Raises:
        BenchError: Penstock or the plain script could not be measured, or what it stored is not
            what was sent.
    """
    known = known_peers()
    for sentence in known.left_out:
        context.console.print(sentence)
    subjects: dict[str, MakeSubject] = {
        peer.name: partial(running_peer, peer) for peer in known.peers
    }
    subjects[PENSTOCK] = penstock
    failed: dict[str, str] = {}
    contenders = {}
    with _servers() as (bench, postgres):
        windows = _saturate(context, bench, subjects, failed)
        for name, taken in windows.items():
            with sparing_others(context, name, failed):
                contenders[name] = _restarted(context, bench, postgres, name, subjects[name], taken)
    if not contenders[PENSTOCK].restart.holds:
        raise BenchError(f"what Penstock stored does not add up: {contenders[PENSTOCK].restart}")
    return result_of(contenders, [*known.left_out, *failed.values()])


@contextmanager
def sparing_others(context: Context, name: str, failed: dict[str, str]) -> Iterator[None]:
    """Enter a peer among those that failed when it cannot be measured, and say why.

    What is entered is a sentence to be published: the first line, without the peer's log.

    Raises:
        BenchError: it is one without whom there is nothing to say.
    """
    try:
        yield
    except BenchError as error:
        if name in _NEEDED:
            raise
        context.console.print(f"{name}: {error}", style="bold red", markup=False)
        reason = str(error).partition("\n")[0].rstrip(":")
        failed[name] = f"{name} was left out: {reason}."


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
    context: Context, bench: Bench, subjects: Mapping[str, MakeSubject], failed: dict[str, str]
) -> Mapping[str, list[Measured]]:
    """The windows of all that did not fail."""
    windows: dict[str, list[Measured]] = {name: [] for name in subjects}
    for run in range(context.runs):
        for name in [name for name in subjects if name not in failed]:
            with sparing_others(context, name, failed):
                measured = _window(context, bench, name, subjects[name])
                windows[name].append(measured)
                tell(context, f"run {run + 1}, {name}", measured)
    return {name: taken for name, taken in windows.items() if name not in failed}


def _window(context: Context, bench: Bench, name: str, make_subject: MakeSubject) -> Measured:
    measured = measure_fleet(
        bench,
        make_subject,
        new_fleet(1, 0),
        seconds=context.seconds,
        trusted=name == PENSTOCK,
    )
    assert measured.account is not None, "every subject stores"
    check_unaltered(name, measured.account)
    return measured


def _restarted(
    context: Context,
    bench: Bench,
    postgres: sandbox.Postgres,
    name: str,
    make_subject: MakeSubject,
    windows: Sequence[Measured],
) -> Contender:
    rate = restart_rate(median(windows, lambda window: window.messages_per_second))
    account = measure_restart(bench, postgres, make_subject, rate=rate)
    check_unaltered(name, account)
    _tell_restart(context, name, rate, account)
    return Contender(windows, rate, account)


def _tell_restart(context: Context, name: str, rate: float, account: Account) -> None:
    context.console.print(
        f"restart of the database, {name}, {rate:,.0f} messages/s: of"
        f" {account.expected_readings:,} acknowledged readings {account.lost:,} were lost,"
        f" {account.duplicates:,} doubled",
        soft_wrap=True,
    )
