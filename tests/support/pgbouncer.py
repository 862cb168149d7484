"""A private pgbouncer in front of a PostgreSQL server, pooling by transactions.

It refuses to run as root, so root runs it as the user `postgres`, as it does PostgreSQL.
"""

import os
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

from penstock.sandbox.ports import LOOPBACK, accepts_connections, free_port
from penstock.sandbox.process import Process
from penstock.sandbox.programs import find_program
from penstock.sandbox.server import Server

_USER = "postgres"

_CONFIGURATION = """\
[databases]
* = host={host} port={server_port}

[pgbouncer]
listen_addr = {address}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool_size}
server_login_retry = 0.2
"""


class PgBouncer(Server):
    """One private pgbouncer, which ends at once, with all connections."""

    _STOP_SIGNAL = signal.SIGKILL  # what SIGTERM does depends on its version

    def __init__(self, folder: Path, dsn: str, *, pool_size: int = 2) -> None:
        """Prepare one in `folder` for the server of `dsn`; `pool_size` is that of its sessions."""
        self.port = free_port()
        self._dsn = urlsplit(dsn)
        self._folder = folder
        self._pool_size = pool_size
        self._user = _USER if os.geteuid() == 0 else None
        super().__init__(
            Process(
                "pgbouncer",
                log_path=folder / "pgbouncer.log",
                death_signal=signal.SIGKILL,
                user=self._user,
            )
        )

    @property
    def dsn(self) -> str:
        """The DSN of the same database through it."""
        user = self._dsn.netloc.rpartition("@")[0]
        return self._dsn._replace(netloc=f"{user}@{LOOPBACK}:{self.port}").geturl()

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._folder.mkdir(exist_ok=True)
        configuration, users = self._folder / "pgbouncer.ini", self._folder / "users.txt"
        users.write_text(f'"{self._dsn.username}" ""\n')
        configuration.write_text(
            _CONFIGURATION.format(
                host=self._dsn.hostname,
                server_port=self._dsn.port,
                address=LOOPBACK,
                port=self.port,
                users=users,
                pool_size=self._pool_size,
            )
        )
        if self._user is not None:
            shutil.chown(self._folder, self._user, self._user)
        self._process.start(
            [find_program("pgbouncer"), configuration], lambda: accepts_connections(self.port)
        )
