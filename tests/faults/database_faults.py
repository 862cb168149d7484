"""What happens to the database server."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from penstock import sandbox
from tests.faults.experiment import Catalogue
from tests.faults.outage import Outage
from tests.faults.trial import Trial
from tests.support.daemon_process import wait_until
from tests.support.disk import SmallDisk, small_disk
from tests.support.publishing import locked, rows_of
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

OUTAGE_SECONDS = (2, 60)
SLOW_BYTES_PER_SECOND = 100_000
"""At which the COPY of a batch takes some tenths of a second."""

COPYING = """
select pid from pg_stat_progress_copy join pg_stat_activity using (pid)
where application_name = 'penstock' and pg_stat_activity.datname = current_database()
    and relid = 'readings'::regclass
"""
COPYING_AND_WAITING = f"{COPYING} and wait_event = 'ClientRead'"
IN_COPY = r"[^\[]*copy readings "
"""What the server says of a statement: what begins the transaction travels with the COPY."""
WAITING_FOR_A_LOCK = """
select pid from pg_stat_activity
where application_name = 'penstock' and datname = current_database() and wait_event_type = 'Lock'
"""

DISK_MEBIBYTES = 256
DISK_FULL = "No space left on device"
USE_UP_A_SEGMENT = "select pg_logical_emit_message(true, '', ''), pg_switch_wal()"
UNREACHABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
SMALL_SERVER = {"shared_buffers": "32MB", "min_wal_size": "32MB", "max_wal_size": "64MB"}


@catalogue.experiment(5, "the database stopped hard for a minute")
def stop_the_database(trial: Trial) -> None:
    server = trial.servers.postgres
    with trial.under_load():
        outage = Outage(trial)
        for _ in trial.times(short=1, long=1):
            server.kill()
            try:
                outage.last(trial.pick(*OUTAGE_SECONDS))
            finally:
                server.start()
    trial.expect(trial.daemon.events("database_unavailable"), "the daemon noticed")
    outage.expect_bounded_memory()


@catalogue.experiment(6, "a backend of the database killed in mid-COPY")
def kill_backends_in_copy(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=proxy.through(trial.dsn))
    with trial.under_load():
        for number in trial.times(short=2, long=20):
            with held_in_copy(trial.dsn, proxy) as backend:
                if number % 2:
                    kill(trial, backend)
                else:
                    terminate(trial, backend)
            stored = trial.daemon.metric("penstock_readings_stored_total")
            wait_until(
                lambda stored=stored: (  # type: ignore[misc]  # its type cannot be inferred
                    trial.daemon.metric("penstock_readings_stored_total") > stored
                ),
                "readings are stored again",
            )


@catalogue.experiment(11, "ACCESS EXCLUSIVE lock on the readings")
def lock_the_readings(trial: Trial) -> None:
    with trial.under_load():
        outage = Outage(trial)
        for _ in trial.times(short=1, long=1):
            with locked(trial.dsn, "readings"):
                wait_until(lambda: bool(rows_of(trial.dsn, WAITING_FOR_A_LOCK)), "it waits for us")
                outage.last(trial.pick(*OUTAGE_SECONDS))
    outage.expect_bounded_memory()


@catalogue.experiment(12, "the database's disk is full, then freed")
def fill_the_disk_of_the_database(trial: Trial) -> None:
    folder = trial.enter(sandbox.scratch_folder())
    disk = trial.enter(small_disk(folder / "disk", DISK_MEBIBYTES))
    # Its log is not on that disk: it has to tell of it.
    (disk.folder / "postgres.log").symlink_to(folder / "postgres.log")
    server = trial.enter(sandbox.Postgres(disk.folder, settings=SMALL_SERVER))
    trial.dsn = sandbox.create_database(server.dsn, "penstock")
    trial.configure()
    with trial.under_load():
        outage = Outage(trial)
        for number in trial.times(short=1, long=4):
            with filled(disk, server, trial.dsn):
                if number % 2:
                    exhaust_log(server, trial.dsn)
                outage.last(trial.pick(2, 10))


@contextmanager
def held_in_copy(dsn: str, proxy: TcpProxy) -> Iterator[int]:
    """Stop the daemon's conversation in the midst of a COPY of readings; which backend is in it."""
    proxy.bytes_per_second = SLOW_BYTES_PER_SECOND
    try:
        backends: list[tuple[Any, ...]] = []
        while not backends:
            proxy.hangs = False
            wait_until(lambda: bool(rows_of(dsn, COPYING)), "a backend copies")
            proxy.hangs = True
            # Nothing more comes from the daemon now, so a backend that waits for it goes on to.
            time.sleep(0.02)
            backends = rows_of(dsn, COPYING_AND_WAITING)
        yield backends[0][0]
    finally:
        proxy.bytes_per_second = None
        proxy.hangs = False


def terminate(trial: Trial, backend: int) -> None:
    """End one session, as an administrator does."""
    rows_of(trial.dsn, f"select pg_terminate_backend({backend}, 10000)")
    expect_logged(
        trial,
        rf"\[{backend}\] FATAL:  terminating connection due to administrator command\n"
        rf".*\[{backend}\] STATEMENT:  {IN_COPY}",
    )


def kill(trial: Trial, backend: int) -> None:
    """End one backend as the kernel does when memory is short; the server ends all others then."""
    os.kill(backend, signal.SIGKILL)
    expect_logged(
        trial,
        rf"server process \(PID {backend}\) was terminated by signal 9: Killed\n"
        rf".*DETAIL:  Failed process was running: {IN_COPY}",
    )


def expect_logged(trial: Trial, pattern: str) -> None:
    log_path = trial.servers.postgres.log_path
    wait_until(lambda: bool(re.search(pattern, log_path.read_text())), f"in its log: {pattern}")


@contextmanager
def filled(disk: SmallDisk, server: sandbox.Postgres, dsn: str) -> Iterator[None]:
    """Fill the disk of a server, which has felt it then; free it, and wait for the server."""
    refusals = times_in(server.log_path, DISK_FULL)
    disk.fill()
    try:
        wait_until(lambda: times_in(server.log_path, DISK_FULL) > refusals, "it felt the full disk")
        yield
    finally:
        disk.free()
        until_it_answers(server, dsn)


def exhaust_log(server: sandbox.Postgres, dsn: str) -> None:
    """Use up what the server has in store of its write-ahead log, so that it has to give up."""
    panics = times_in(server.log_path, "PANIC")

    def gave_up() -> bool:
        with suppress(*UNREACHABLE):
            rows_of(dsn, USE_UP_A_SEGMENT)
        return times_in(server.log_path, "PANIC") > panics

    wait_until(gave_up, "it gave up for want of a log")


def until_it_answers(server: sandbox.Postgres, dsn: str) -> None:
    """Start a server again if it has given up, and wait until it answers."""

    def answers() -> bool:
        if not server.running:
            server.start()
        with suppress(*UNREACHABLE):
            return bool(rows_of(dsn, "select 1"))
        return False

    wait_until(answers, "the server is back")


def times_in(log_path: Path, text: str) -> int:
    return log_path.read_text().count(text)
