"""A private PostgreSQL with TimescaleDB.

What always holds: the port, the folder and the data stay the same over restarts; commits are on
disk unless `fsync` is off; and when `start` returns, it takes connections. PostgreSQL refuses to
run as root, so root runs it as the user `postgres`.
"""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from penstock.sandbox.errors import SandboxError
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.sandbox.process import Process, run
from penstock.sandbox.programs import find_postgresql
from penstock.sandbox.server import Server

_SUPERUSER = "postgres"
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.01

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "100",
    "shared_preload_libraries": "timescaledb",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",  # a checkpoint in the middle of a measurement would be measured
    "checkpoint_timeout": "15min",
    "track_commit_timestamp": "on",  # when a reading was committed is how latency is measured
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # no query here is long enough to repay it
}


class Postgres(Server):
    """One private PostgreSQL server; its process id is the postmaster's."""

    _STOP_SIGNAL = signal.SIGINT  # a fast shutdown, which ends the sessions

    def __init__(
        self, folder: Path, *, fsync: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        """Prepare a server in `folder`; nothing is written before `start`.

        Args:
            folder: where its data, socket and log are, made if need be; its path is 80 bytes long
                at most, because of the socket.
            fsync: off is faster, and survives the end of the server but not of the machine.
            settings: further parameters of postgresql.conf.
        """
        self.folder = folder
        self.port = free_port()
        self._user = _SUPERUSER if os.geteuid() == 0 else None
        self._settings = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": str(folder),
            "fsync": "on" if fsync else "off",
            **(settings or {}),
        }
        super().__init__(
            Process(
                "postgres",
                log_path=folder / "postgres.log",
                # An immediate shutdown: the server takes its backends with it.
                death_signal=signal.SIGQUIT,
                user=self._user,
            )
        )

    @property
    def dsn(self) -> str:
        """The server's `postgres` database, as a superuser."""
        return f"postgresql://{_SUPERUSER}@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        """Start it, the first time after making its data folder, and return when it is ready.

        Raises:
            SandboxError: there is no PostgreSQL with TimescaleDB, or it did not start.
        """
        programs = find_postgresql()
        if not self._data.exists():
            self._initialise(programs)
        self._process.start([programs / "postgres", "-D", self._data], self._ready)

    def kill(self) -> None:
        """End it and its backends at once (SIGKILL), and wait; the next start recovers."""
        backends = _children(self.process_id)
        super().kill()
        for backend in backends:
            _kill_if_alive(backend)
        _wait_for_end_of(backends)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _initialise(self, programs: Path) -> None:
        self.folder.mkdir(exist_ok=True)
        if self._user is not None:
            try:
                shutil.chown(self.folder, self._user, self._user)
            except LookupError:
                raise SandboxError(
                    "PostgreSQL refuses to run as root, and there is no user postgres"
                ) from None
        run(
            [
                *(programs / "initdb", "--pgdata", self._data, "--username", _SUPERUSER),
                *("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
                "--no-instructions",
            ],
            user=self._user,
        )
        with (self._data / "postgresql.conf").open("a") as configuration:
            for name, value in self._settings.items():
                configuration.write(f"{name} = '{value}'\n")

    def _ready(self) -> bool:
        # postmaster.pid holds the process id in its first line and the state in its eighth, as
        # pg_ctl reads it (PostgreSQL's src/include/utils/pidfile.h).
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.process_id)] and [x.strip() for x in lines[7:8]] == ["ready"]


def _children(process_id: int) -> list[int]:
    return [
        int(child)
        for listed in Path(f"/proc/{process_id}/task").glob("*/children")
        for child in listed.read_text().split()
    ]


def _kill_if_alive(process_id: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def _wait_for_end_of(process_ids: list[int]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while any(_alive(process_id) for process_id in process_ids):
        if time.monotonic() > deadline:
            raise SandboxError(f"backends of PostgreSQL survived SIGKILL: {process_ids}")
        time.sleep(_POLL_SECONDS)


def _alive(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False
    # After the name in parentheses comes the state; Z is dead, and waits for its parent to notice.
    return status.rpartition(")")[2].split()[0] != "Z"
