"""What happens when the daemon's process ends between two of its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support import failpoints
from tests.support.daemon_process import wait_until
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

SHORT_PASSAGES, LONG_PASSAGES = 2, 6
"""How far the daemon comes at most: in the long run so far that it keeps up with the load."""

ENOUGH_ROWS = 12_000
"""In the spool: the replayer takes 5,000 at once. The first may be what the broker sent again and
the database has; the next are acknowledged, and nowhere else.
"""


@catalogue.experiment(2, "exit at each boundary between two steps")
def exit_at_boundaries(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=proxy.through(trial.dsn))
    with trial.under_load():
        trial.daemon.kill()
        for _ in range(trial.pick(1, 20)):
            for point in failpoints.POINTS:
                trial.runs += 1
                _exit_at(trial, point, proxy)
        trial.daemon.command = trial.command
        trial.daemon.start()


def _exit_at(trial: Trial, point: str, proxy: TcpProxy) -> None:
    daemon, passage = trial.daemon, _passage(trial, point)
    daemon.command = failpoints.command(trial.command, point, passage)
    daemon.launch()
    if point in OUTAGES:
        wait_until(lambda: not daemon.running or daemon.get("/health/ready")[0] == 200, "it serves")
        with _away(proxy):
            OUTAGES[point](trial)
    status = daemon.wait()
    trial.expect(
        status == failpoints.REACHED, f"passage {passage} of {point} is reached: exit {status}"
    )


def _passage(trial: Trial, point: str) -> int:
    # What is sure to come: the first batch meets what was committed before the exit before this,
    # and something is in the spool.
    if point in ("before_staged_commit", "in_spool_removal"):
        return 1
    if point == "before_replaying":
        return 2
    return trial.random.randint(1, trial.pick(SHORT_PASSAGES, LONG_PASSAGES))


def _until_end(trial: Trial) -> None:
    trial.daemon.wait()


def _until_spooled(trial: Trial) -> None:
    daemon = trial.daemon
    wait_until(
        lambda: not daemon.running or daemon.metric("penstock_readings_spooled") > 0,
        "something is in the spool",
    )


def _until_acknowledged(trial: Trial) -> None:
    """Wait until the spool holds what nobody else has."""
    daemon = trial.daemon
    wait_until(
        lambda: not daemon.running or daemon.metric("penstock_spool_rows") >= ENOUGH_ROWS,
        "enough is in the spool",
    )


OUTAGES: dict[str, Callable[[Trial], None]] = {
    "before_acknowledging_spooled": _until_end,
    "in_spool_write": _until_end,
    "before_replaying": _until_acknowledged,
    "in_spool_removal": _until_spooled,
}
"""Boundaries to which the database has to be away, and how long."""


@contextmanager
def _away(proxy: TcpProxy) -> Iterator[None]:
    """A database that cannot be reached during the block."""
    proxy.refuses = True
    proxy.cut()
    try:
        yield
    finally:
        proxy.refuses = False
