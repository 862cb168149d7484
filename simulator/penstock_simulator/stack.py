"""Penstock as an operator runs it, on servers of its own.

A broker and a database (private ones, or those that PENSTOCK_TEST_MQTT and PENSTOCK_TEST_DSN
name), the schema applied by `penstock migrate`, and the daemon as a process of its own under the
reference configuration. What always holds: everything that was started is stopped on leaving, in
the reverse order, and a database that was made on somebody's server is dropped. Everything here
blocks.
"""

import secrets
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import mqtt5

import penstock
from penstock import sandbox
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.sandbox.process import Process

_ENV = "/usr/bin/env"
_PENSTOCK = (sys.executable, "-m", "penstock")
_ANSWER_SECONDS = 5.0


class StackError(Exception):
    """A part of the stack did not start or end as it should; the text has the end of its log."""


class Daemon:
    """One daemon, configured by the reference configuration and overrides in its environment."""

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
        self._process = Process("penstock", log_path=self.log_path, death_signal=signal.SIGKILL)
        self._mqtt_url = mqtt_url
        self._client_id = f"penstock-{secrets.token_hex(4)}"
        settings = {
            "MQTT__URL": mqtt_url,
            "MQTT__CLIENT_ID": self._client_id,
            "STORAGE__DSN": dsn,
            "HTTP__LISTEN": f"{LOOPBACK}:{self.port}",
            **(overrides or {}),
        }
        self._environment = [f"PENSTOCK_{name}={value}" for name, value in settings.items()]

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
            [
                _ENV,
                *self._environment,
                *_PENSTOCK,
                "migrate",
                "--config",
                reference_configuration(),
            ],
            check=False,
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
        command = [_ENV, *self._environment, *_PENSTOCK, "run"]
        self._process.start(
            [*command, "--config", reference_configuration()],
            lambda: self.get("/health/ready") is not None,
        )

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and wait."""
        self._process.signal(signal.SIGTERM)

    def forget_session(self) -> None:
        """Have the broker drop its session, whose queue would grow now that nobody empties it."""
        url = urlsplit(self._mqtt_url)
        address = (url.hostname or LOOPBACK, url.port or 1883)
        # A clean start drops the old session (MQTT 5 §3.1.2.4), the end of the connection this one.
        connect = mqtt5.ConnectPacket(
            self._client_id,
            username=url.username,
            password=None if url.password is None else url.password.encode(),
            clean_start=True,
        )
        with socket.create_connection(address, _ANSWER_SECONDS) as connection:
            connection.sendall(connect.write())
            connection.recv(1)

    def get(self, path: str) -> str | None:
        """The body that it answers to a GET with, or nothing if it does not answer 200."""
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self.port}{path}", timeout=_ANSWER_SECONDS
            ) as answer:
                body: bytes = answer.read()
                return body.decode()
        except OSError:
            return None

    def log_tail(self) -> str:
        """The end of its log."""
        return self._process.log_tail()


class Stack:
    """A running stack."""

    def __init__(self, *, mqtt_url: str, dsn: str, daemon: Daemon) -> None:
        self.mqtt_url = mqtt_url
        self.dsn = dsn
        self.daemon = daemon


@contextmanager
def running_stack() -> Iterator[Stack]:
    """The whole stack, in a scratch folder.

    Raises:
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied.
    """
    with (
        sandbox.scratch_folder() as folder,
        sandbox.mqtt_broker(folder / "broker") as mqtt_url,
        sandbox.database_server(folder / "postgres") as server_dsn,
        fresh_database(server_dsn) as dsn,
    ):
        daemon = Daemon(folder, mqtt_url=mqtt_url, dsn=dsn)
        daemon.migrate()
        daemon.start()
        try:
            yield Stack(mqtt_url=mqtt_url, dsn=dsn, daemon=daemon)
        finally:
            daemon.stop()
            daemon.forget_session()


@contextmanager
def fresh_database(server_dsn: str) -> Iterator[str]:
    """The DSN of a new database, which is dropped on leaving."""
    name = f"penstock_{secrets.token_hex(6)}"
    try:
        yield sandbox.create_database(server_dsn, name)
    finally:
        sandbox.drop_database(server_dsn, name)


def reference_configuration() -> Path:
    """The reference configuration: in the package, or in a checkout beside it."""
    package = Path(penstock.__file__).parent
    shipped = package / "config" / "penstock.yaml"
    return shipped if shipped.exists() else package.parents[1] / "config" / "penstock.yaml"
