"""Penstock as an operator runs it, on servers of its own.

A broker and a database (private ones, or those that PENSTOCK_TEST_MQTT and PENSTOCK_TEST_DSN
name), the schema applied by `penstock migrate`, and the daemon as a process of its own under the
reference configuration. What always holds: everything that was started is stopped on leaving, in
the reverse order, and a database that was made on somebody's server is dropped. Everything here
blocks.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import asyncpg
import mqtt5

import penstock
from penstock import sandbox
from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.sandbox.process import Process
from penstock_simulator.disturbance import Server
from penstock_simulator.fetching import fetched
from penstock_simulator.sampling import ProcessId, Sources

_PENSTOCK = (sys.executable, "-m", "penstock")
_ANSWER_SECONDS = 5.0


class StackError(Exception):
    """A part of the stack did not start or end as it should; the text has the end of its log."""


class Daemon:
    """One daemon with a spool, configured by the reference and overrides in its environment."""

    def __init__(
        self,
        folder: Path,
        *,
        mqtt_url: str,
        dsn: str,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a daemon that writes its log into `folder`.

        `overrides` are further settings as the environment gives them: `STORAGE__BATCH_ROWS`.
        """
        self.port = free_port()
        self.log_path = folder / "penstock.log"
        self._mqtt_url = urlsplit(mqtt_url)
        self._client_id = f"penstock-{secrets.token_hex(4)}"
        settings = {
            **_broker_settings(self._mqtt_url),
            "MQTT__CLIENT_ID": self._client_id,
            "STORAGE__DSN": dsn,
            "HTTP__LISTEN": f"{LOOPBACK}:{self.port}",
            "SPOOL__PATH": str(folder / f"{self._client_id}.spool.db"),
            **(overrides or {}),
        }
        # Passwords are among them, and arguments can be read by everybody.
        self._environment = {f"PENSTOCK_{name}": value for name, value in settings.items()}
        self._process = Process(
            "penstock",
            log_path=self.log_path,
            death_signal=signal.SIGKILL,
            environment=self._environment,
        )

    @property
    def process_id(self) -> int:
        """Its process id."""
        return self._process.process_id

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process.running

    def migrate(self) -> None:
        """Bring the database's schema up to date.

        Raises:
            StackError: that failed.
        """
        done = subprocess.run(
            [*_PENSTOCK, "migrate", "--config", reference_configuration()],
            check=False,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise StackError(f"penstock migrate failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it and return when it is ready.

        Raises:
            SandboxError: it ended or was not ready in time.
        """
        self._process.start(
            [*_PENSTOCK, "run", "--config", reference_configuration()],
            lambda: self.get("/health/ready") is not None,
        )

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and wait."""
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL), and wait."""
        self._process.signal(signal.SIGKILL)

    def forget_session(self) -> None:
        """Have the broker drop its session, whose queue would grow now that nobody empties it."""
        url = self._mqtt_url
        address = (url.hostname or LOOPBACK, url.port or 1883)
        # A clean start drops the old session (MQTT 5 §3.1.2.4), the end of the connection this one.
        connect = mqtt5.ConnectPacket(
            self._client_id,
            username=None if url.username is None else unquote(url.username),
            password=None if url.password is None else unquote(url.password).encode(),
            clean_start=True,
        )
        with socket.create_connection(address, _ANSWER_SECONDS) as connection:
            connection.sendall(connect.write())
            connection.recv(1)

    def get(self, path: str) -> str | None:
        """The body that it answers to a GET with, or nothing if it does not answer 200."""
        return fetched(f"http://{LOOPBACK}:{self.port}{path}")

    def log_tail(self) -> str:
        """The end of its log."""
        return self._process.log_tail()


class Stack:
    """A running stack.

    Args:
        mqtt_url: where the broker listens.
        dsn: the run's own database.
        daemon: the daemon, running.
        broker: the broker, when it is a private one.
        database: the server of the database, when it is a private one.
    """

    def __init__(
        self,
        *,
        mqtt_url: str,
        dsn: str,
        daemon: Daemon,
        broker: sandbox.Broker | None = None,
        database: sandbox.Postgres | None = None,
    ) -> None:
        self.mqtt_url = mqtt_url
        self.dsn = dsn
        self.daemon = daemon
        self.broker = broker
        self.database = database

    def server(self, name: Server) -> "sandbox.Broker | sandbox.Postgres | Daemon | None":
        """One of its parts; None where it is not a private one."""
        match name:
            case "broker":
                return self.broker
            case "daemon":
                return self.daemon
            case "database":
                return self.database

    @property
    def sources(self) -> Sources:
        """Where its parts can be sampled; servers that the environment names are left out."""
        return Sources(
            broker=_process_of(self.broker),
            daemon=_process_of(self.daemon),
            database=_process_of(self.database),
            exposition=lambda: self.daemon.get("/metrics"),
        )


@contextmanager
def running_stack(overrides: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """The whole stack, in a scratch folder.

    Args:
        overrides: further settings of the daemon; see `Daemon`.

    Raises:
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied.
    """
    with (
        sandbox.scratch_folder() as folder,
        running_broker(folder / "broker") as (mqtt_url, broker),
        _running_database(folder / "postgres") as (server_dsn, database),
        fresh_database(server_dsn) as dsn,
    ):
        daemon = Daemon(folder, mqtt_url=mqtt_url, dsn=dsn, overrides=overrides)
        daemon.migrate()
        daemon.start()
        try:
            yield Stack(mqtt_url=mqtt_url, dsn=dsn, daemon=daemon, broker=broker, database=database)
        finally:
            daemon.stop()
            daemon.forget_session()


@contextmanager
def fresh_database(server_dsn: str) -> Iterator[str]:
    """The DSN of a new database, which is dropped on leaving.

    Raises:
        StackError: it could not be created.
    """
    name = f"penstock_{secrets.token_hex(6)}"
    try:
        dsn = sandbox.create_database(server_dsn, name)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StackError(f"no database can be created for this run: {error}") from error
    try:
        yield dsn
    finally:
        sandbox.drop_database(server_dsn, name)


@contextmanager
def running_broker(folder: Path) -> Iterator[tuple[str, sandbox.Broker | None]]:
    """The URL of the broker to use, and the broker itself if it is a private one."""
    if os.environ.get(MQTT_VARIABLE):
        with sandbox.mqtt_broker(folder) as url:
            yield url, None
    else:
        with sandbox.Broker(folder) as broker:
            yield broker.url, broker


@contextmanager
def _running_database(folder: Path) -> Iterator[tuple[str, sandbox.Postgres | None]]:
    """The DSN of the database server to use, and the server itself if it is a private one."""
    if os.environ.get(DSN_VARIABLE):
        with sandbox.database_server(folder) as dsn:
            yield dsn, None
    else:
        with sandbox.Postgres(folder) as server:
            yield server.dsn, server


def _process_of(server: sandbox.Broker | sandbox.Postgres | Daemon | None) -> ProcessId | None:
    if server is None:
        return None

    def process_id() -> int | None:
        try:
            return server.process_id
        except sandbox.SandboxError:
            return None

    return process_id


def _broker_settings(url: SplitResult) -> dict[str, str]:
    """What the daemon is told of a broker; it takes no user name and password in a URL."""
    settings = {"MQTT__URL": url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()}
    if url.username is not None:
        settings["MQTT__USERNAME"] = unquote(url.username)
    if url.password is not None:
        settings["MQTT__PASSWORD"] = unquote(url.password)
    return settings


def reference_configuration() -> Path:
    """The reference configuration: in the package, or in a checkout beside it."""
    package = Path(penstock.__file__).parent
    shipped = package / "config" / "penstock.yaml"
    return shipped if shipped.exists() else package.parents[1] / "config" / "penstock.yaml"
