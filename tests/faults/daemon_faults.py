"""What happens to the daemon's process."""

import os
import signal
import time
from contextlib import nullcontext

from penstock.settings.tree import Settings
from penstock.spool.file import SpoolFile
from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.daemon_process import wait_until
from tests.support.publishing import locked

catalogue = Catalogue()

SHUTDOWN_SECONDS = Settings().shutdown_timeout_seconds

KEEPALIVE_SECONDS = 5
"""The shortest that is allowed, so that twice as long is not half of the experiment's time."""

AWAY_RATE = 300
"""Messages a second: in ten minutes as many as it takes in within the time that it has to recover,
while other experiments run beside this one."""


@catalogue.experiment(1, "kill -9 of the daemon at seeded moments under load")
def kill_the_daemon(trial: Trial) -> None:
    with trial.under_load():
        for number in trial.times(short=3, long=200):
            trial.daemon.until_ready()
            # A commit takes milliseconds: a lock has every other kill come before one.
            with nullcontext() if number % 2 else locked(trial.dsn, "readings"):
                trial.wait(0.05, 0.8)
                status = trial.daemon.stop(signal.SIGKILL)
            trial.expect(status == -signal.SIGKILL, f"it runs until it is killed: exit {status}")
            trial.daemon.launch()  # its start is part of its recovery
    trial.expect(trial.redeliveries.count, "messages were underway when it was killed")


@catalogue.experiment(3, "SIGTERM under load")
def terminate_the_daemon(trial: Trial) -> None:
    with trial.under_load():
        for _ in trial.times(short=3, long=50):
            trial.daemon.until_ready()
            trial.wait(0.05, 0.8)
            started_seconds = time.monotonic()
            status = trial.daemon.stop()
            took_seconds = time.monotonic() - started_seconds
            trial.expect(status == 0, f"it ends in good order: exit {status}")
            trial.expect(took_seconds <= SHUTDOWN_SECONDS, f"it ends in time: {took_seconds:.1f} s")
            _expect_nothing_in_flight(trial)
            trial.daemon.launch()


def _expect_nothing_in_flight(trial: Trial) -> None:
    """Expect of a daemon that was stopped that all it received is stored, or on the disk."""
    stopped = trial.daemon.events("stopped")[-1]
    settled = sum(
        stopped[f"readings_{account}"] for account in ("stored", "duplicate", "dead_lettered")
    )
    spooled = _readings_in_spool(trial)
    in_flight = stopped["readings_received"] - settled - spooled
    trial.expect(in_flight == 0, f"nothing is in flight after its end: {in_flight} readings")


def _readings_in_spool(trial: Trial) -> int:
    file = SpoolFile(trial.folder / "spool.db")
    try:
        return sum(file.readings().values())
    finally:
        file.abandon()


@catalogue.experiment(4, "SIGSTOP for twice the keepalive, then SIGCONT")
def suspend_the_daemon(trial: Trial) -> None:
    trial.configure(mqtt={"keepalive_seconds": KEEPALIVE_SECONDS})
    with trial.under_load():
        for _ in trial.times(short=1, long=5):
            connections, dropped = _connections(trial), _times_dropped(trial)
            os.kill(trial.daemon.process_id, signal.SIGSTOP)
            # No moment to wait for, but a length of time to let pass: the fault itself.
            time.sleep(2 * KEEPALIVE_SECONDS)
            # The broker looks every few seconds, so it may be a little later.
            _await_drop_after(trial, dropped)
            os.kill(trial.daemon.process_id, signal.SIGCONT)
            _await_connection_after(trial, connections)


def _await_drop_after(trial: Trial, dropped: int) -> None:
    wait_until(lambda: _times_dropped(trial) > dropped, "the broker drops it")


def _times_dropped(trial: Trial) -> int:
    gone = f"Client {trial.daemon.client_id} has exceeded timeout"
    return trial.servers.broker.log_path.read_text().count(gone)


def _connections(trial: Trial) -> float:
    return trial.daemon.metric("penstock_mqtt_connections_total")


def _await_connection_after(trial: Trial, connections: float) -> None:
    wait_until(lambda: _connections(trial) > connections, "it has connected again")


@catalogue.experiment(20, "the daemon away for ten minutes of traffic")
def leave_the_daemon_out(trial: Trial) -> None:
    away_seconds = trial.pick(3, 600)
    trial.daemon.start()
    with trial.load(rate=trial.pick(2_000, AWAY_RATE)):
        for _ in trial.times(short=1, long=1):
            trial.daemon.stop()
            time.sleep(away_seconds)
            trial.daemon.launch()
            trial.recover()
