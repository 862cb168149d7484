"""Damage to the files of a spool, which a daemon finds there when it starts."""

import asyncio
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from structlog.testing import capture_logs

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.damage import Damaged, files_of_spool, flip_bits, truncate
from tests.support.drained_spool import Drained, Original, drain
from tests.support.load import Load
from tests.support.spool_pages import SpoolPages
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

AT_ONCE = 4
"""Spools that are drained side by side."""
SHOWN = 3
"""Failures that a verdict tells in full."""


class Filled(NamedTuple):
    """A spool that is copied and never changed."""

    spool: Path
    pages: SpoolPages


class Damage(NamedTuple):
    """What is done to a copy."""

    filled: Filled
    cuts: bool
    """Whether an end is cut off; else a bit is flipped."""
    seed: int

    def do(self, folder: Path) -> tuple[Path, Damaged, set[int]]:
        """Make a damaged copy: where it is, what was done, and which batches lie there."""
        spool = _copied(self.filled.spool, folder)
        files, randomness = files_of_spool(spool), Random(self.seed)
        lying = self.filled.pages.behind if self.cuts else self.filled.pages.at
        done = truncate(files, randomness) if self.cuts else flip_bits(files, 1, randomness)[0]
        return spool, done, lying(done.offset, in_log=done.file != spool)


class Outcome(NamedTuple):
    """What a damage did."""

    done: Damaged
    drained: Drained
    faults: list[str]
    """What should not be."""


@catalogue.experiment(15, "the spool truncated at random offsets, and bits of it flipped")
def damaged_spool(trial: Trial) -> None:
    database = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=database.through(trial.dsn))
    load = _fill(trial, database)
    spools = [_as_killed(trial), _as_closed(trial)]
    cuts = [_damage(trial, spools, cuts=True) for _ in trial.times(short=10, long=200)]
    flips = [_damage(trial, spools, cuts=False) for _ in trial.times(short=20, long=1_000)]
    damages = [*cuts, *flips]
    original = Original(_copied(spools[0].spool, trial.folder / "original"))
    with capture_logs():
        outcomes = asyncio.run(_drain_all(trial.folder, damages, original))
    bad = [(outcome.done, outcome.faults) for outcome in outcomes if outcome.faults]
    trial.expect(not bad, f"no damage does more, but {len(bad)} of {trial.runs} do: {bad[:SHOWN]}")
    harmed = sum(outcome.drained.missing_rows > 0 for outcome in outcomes)
    trial.expect(harmed >= trial.runs // 10, f"the damage does harm, but only {harmed} times")
    for number, damage in enumerate(trial.random.sample(damages, trial.pick(1, 6))):
        _have_daemon_drain(trial, number, damage, load)
    trial.daemon.start(ready=False)
    database.refuses = False
    trial.recover()


def _fill(trial: Trial, database: TcpProxy) -> Load:
    """Have a load go to the spool, all of it, and kill the daemon."""
    trial.daemon.start()
    database.refuses = True
    database.cut()
    with trial.load() as load:
        pass
    wait_until(lambda: _all_spooled(trial.daemon), "all is in the spool")
    trial.daemon.kill()
    return load


def _all_spooled(daemon: DaemonProcess) -> bool:
    before = daemon.metric("penstock_messages_received_total")
    time.sleep(0.5)
    return (
        daemon.metric("penstock_messages_received_total") == before
        and daemon.metric("penstock_mqtt_unacknowledged_messages") == 0
        and daemon.metric("penstock_readings_in_flight") == 0
    )


def _as_killed(trial: Trial) -> Filled:
    """The spool as the daemon's sudden end left it: the last of it is in its log."""
    spool = _copied(_spool_of(trial), trial.folder / "killed")
    log = spool.with_name(f"{spool.name}-wal").read_bytes()
    return Filled(spool, SpoolPages(_copied(spool, trial.folder / "looked-at"), log))


def _as_closed(trial: Trial) -> Filled:
    """The same spool with its log copied into its file."""
    spool = _copied(_spool_of(trial), trial.folder / "closed")
    return Filled(spool, SpoolPages(spool, b""))


def _spool_of(trial: Trial) -> Path:
    return trial.folder / "spool.db"


def _copied(spool: Path, folder: Path) -> Path:
    """A copy of the spool and of all that belongs to it."""
    folder.mkdir()
    for file in spool.parent.glob(f"{spool.name}*"):
        if file.is_file() and not file.name.endswith((".lock", ".reserve")):
            shutil.copy(file, folder)
    return folder / spool.name


def _damage(trial: Trial, spools: Sequence[Filled], *, cuts: bool) -> Damage:
    return Damage(trial.random.choice(spools), cuts, trial.random.getrandbits(32))


async def _drain_all(folder: Path, damages: Sequence[Damage], original: Original) -> list[Outcome]:
    """Drain a copy with each damage."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def outcome(number: int, damage: Damage) -> Outcome:
        async with turn:
            copy = folder / f"damaged-{number}"
            spool, done, excused = damage.do(copy)
            drained = await drain(spool, original)
            shutil.rmtree(copy)
            return Outcome(done, drained, list(_faults(drained, excused)))

    return await asyncio.gather(*(outcome(*numbered) for numbered in enumerate(damages)))


def _faults(drained: Drained, excused: Collection[int]) -> Iterator[str]:
    """What should not be, of one spool."""
    if drained.failure:
        yield drained.failure
    if drained.wrong_rows:
        yield f"{drained.wrong_rows} rows were stored that had not been put in"
    if further := drained.missing.difference(excused):
        yield f"{len(further)} batches are missing besides {len(excused)} where the damage is"
    if drained.missing_rows != drained.counted_rows:
        yield f"{drained.missing_rows} rows are missing, and {drained.counted_rows} are counted"


def _have_daemon_drain(trial: Trial, number: int, damage: Damage, load: Load) -> None:
    """Start a daemon that finds a damaged copy, and ask the oracle what it stored."""
    spool, done, _ = damage.do(trial.folder / f"daemon-{number}")
    dsn = trial.servers.new_database()
    with DaemonProcess(
        spool.parent,
        mqtt_url=trial.servers.broker.url,
        dsn=dsn,
        routes=[{"topic": f"{trial.prefix}-none/{{tenant}}/{{device}}/telemetry"}],
        settings={"log": {"format": "json"}, "spool": {"path": str(spool)}},
    ) as daemon:
        wait_until(lambda: _drained(daemon), f"a daemon drains what is left after {done}")
        counted = sum(
            daemon.metric(f"penstock_spool_{what}_rows_total") for what in ("quarantined", "lost")
        )
    account = load.account(dsn)
    trial.expect(account["lost"] == counted, f"{account['lost']} lost, {counted:g} counted: {done}")
    for name in ("duplicates", "invented", "corrupt", "both", "misjudged"):
        trial.expect(account[name] == 0, f"nothing is {name}, but {account[name]}: {done}")


def _drained(daemon: DaemonProcess) -> bool:
    spool = daemon.get("/health")[1]["spool"]
    return spool == "usable" and daemon.metric("penstock_spool_batches") == 0
