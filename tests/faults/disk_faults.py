"""What happens to the disk that the spool is on."""

from collections.abc import Mapping

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.daemon_process import wait_until
from tests.support.disk import SmallDisk, small_disk
from tests.support.syscalls import SYNCING, failing
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

SPOOL_MEBIBYTES = 64
LAST_BYTES = 1_048_576
"""More than the spool takes while the disk is being filled, or its reserve would be filled too."""
APPENDED_BATCHES = 3
"""After so many more the spool is taken to work."""
WITHHELD_MESSAGES = 500
"""That come, and are not acknowledged, while it does not."""


@catalogue.experiment(13, "the spool's disk is full, then freed")
def spool_disk_full(trial: Trial) -> None:
    disk = trial.enter(small_disk(trial.folder / "disk", SPOOL_MEBIBYTES))
    database = _behind_proxy(trial, {"path": str(disk.folder / "spool.db")})
    with trial.under_load():
        for number in trial.times(short=1, long=4):
            _take_away(database)
            _wait_until_it_works(trial)
            _fill_up(trial, disk)
            disk.free()
            _wait_until_it_works(trial)
            _fill_up(trial, disk)
            if number % 2:
                _free_and_drain(trial, disk, database)
            else:
                _drain_while_full(trial, disk, database)


def _drain_while_full(trial: Trial, disk: SmallDisk, database: TcpProxy) -> None:
    database.refuses = False
    wait_until(lambda: _spooled(trial) == 0, "the spool is drained although its disk is full")
    trial.expect(_state(trial) == "unusable", "the disk was full all the while")
    disk.free()
    wait_until(lambda: _state(trial) == "usable", "the spool works again")


def _free_and_drain(trial: Trial, disk: SmallDisk, database: TcpProxy) -> None:
    # Somebody takes even what the spool had in reserve.
    disk.fill()
    database.refuses = False
    trial.recover()
    disk.free()
    wait_until(lambda: _spooled(trial) == 0, "the spool is drained when there is room")


@catalogue.experiment(14, "fsync fails with EIO")
def fsync_fails(trial: Trial) -> None:
    database = _behind_proxy(trial, {})
    with trial.under_load():
        for number in trial.times(short=1, long=8):
            _take_away(database)
            _wait_until_it_works(trial)
            faults = _faults(trial, "io_error")
            with failing(trial.daemon.process_id, SYNCING, error="EIO") as injection:
                _expect_fault(trial, "io_error", since=faults, within_batches=30)
                trial.expect(injection.count, "fsync was made to fail")
                if number % 2:
                    trial.daemon.kill()
            if number % 2:
                trial.daemon.start(ready=False)
            _wait_until_it_works(trial)
            database.refuses = False
            trial.recover()


def _behind_proxy(trial: Trial, spool: Mapping[str, object]) -> TcpProxy:
    """Let the daemon reach the database by a proxy only."""
    database = TcpProxy.before(trial.dsn)
    trial.enter(database)
    trial.configure(dsn=database.through(trial.dsn), spool=spool)
    return database


def _take_away(database: TcpProxy) -> None:
    database.refuses = True
    database.cut()


def _fill_up(trial: Trial, disk: SmallDisk) -> None:
    """Leave so little room that the spool takes the last of it."""
    faults = _faults(trial, "disk_full")
    disk.fill(leave_bytes=LAST_BYTES)
    _expect_fault(trial, "disk_full", since=faults, within_batches=500)


def _expect_fault(trial: Trial, fault: str, *, since: float, within_batches: int) -> None:
    """See a fault named and counted, and nothing acknowledged any more.

    When it has not shown after so many batches it never will.
    """
    appended = _appended(trial)
    wait_until(
        lambda: _faults(trial, fault) > since or _appended(trial) > appended + within_batches,
        f"the spool meets {fault}",
    )
    trial.expect(_faults(trial, fault) > since, f"{fault} is counted")
    trial.expect(_state(trial) == "unusable", f"the spool is unusable after {fault}")
    appended, received, withheld = _appended(trial), _received(trial), _withheld(trial)
    wait_until(
        lambda: _received(trial) >= received + WITHHELD_MESSAGES, "messages come all the same"
    )
    trial.expect(_appended(trial) == appended, f"nothing is spooled after {fault}")
    # The batch under construction is counted in one place earlier than in the other.
    more = _withheld(trial) - withheld
    trial.expect(more >= WITHHELD_MESSAGES / 2, f"nothing is acknowledged after {fault}")


def _wait_until_it_works(trial: Trial) -> None:
    """Wait until the spool takes batches."""
    appended = _appended(trial)
    wait_until(lambda: _appended(trial) >= appended + APPENDED_BATCHES, "the spool takes batches")
    trial.expect(_state(trial) == "usable", "the spool is said to be usable")


def _state(trial: Trial) -> object:
    return trial.daemon.get("/health")[1]["spool"]


def _faults(trial: Trial, fault: str) -> float:
    return trial.daemon.metric("penstock_spool_faults_total", fault=fault)


def _spooled(trial: Trial) -> float:
    return trial.daemon.metric("penstock_spool_batches")


def _appended(trial: Trial) -> float:
    return trial.daemon.metric("penstock_spool_appended_batches_total")


def _received(trial: Trial) -> float:
    return trial.daemon.metric("penstock_messages_received_total")


def _withheld(trial: Trial) -> float:
    return trial.daemon.metric("penstock_mqtt_unacknowledged_messages")
