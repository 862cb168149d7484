"""A broker and a database server to use: those that the environment names, else private ones.

Servers that the environment names are tried first, so that what is wrong with them is said at once
and by the name of the variable. Texts never have the passwords.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import mqtt5

from penstock.sandbox.broker import Broker
from penstock.sandbox.errors import SandboxError
from penstock.sandbox.postgres import Postgres

MQTT_VARIABLE = "PENSTOCK_TEST_MQTT"
DSN_VARIABLE = "PENSTOCK_TEST_DSN"

_ANSWER_SECONDS = 10.0
_MQTT_PORT = 1883
_CONNACK = 0x20
_REASONS = {
    0x84: "it does not speak MQTT 5",
    0x86: "bad user name or password",
    0x87: "not authorized; give a user as mqtt://USER:PASSWORD@HOST:PORT",
}
"""By CONNACK reason code (MQTT 5 §3.2.2.2)."""
_RIGHTS = """
    SELECT rolsuper OR rolcreatedb,
           EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
    FROM pg_roles WHERE rolname = current_user
"""


@contextmanager
def mqtt_broker(folder: Path) -> Iterator[str]:
    """The URL of the broker in PENSTOCK_TEST_MQTT, or of a durable one that runs meanwhile.

    It may hold a user name and a password. Topics and client ids should be unique to the run:
    others may use the same broker.

    Raises:
        SandboxError: there is no mosquitto, or it did not start, or the named broker does not let
            us in.
    """
    named = os.environ.get(MQTT_VARIABLE)
    if named:
        _try_broker(named)
        yield named
    else:
        with Broker(folder) as broker:
            yield broker.url


@contextmanager
def database_server(folder: Path) -> Iterator[str]:
    """The DSN in PENSTOCK_TEST_DSN, or of a private server that runs meanwhile.

    Data belongs into a database of its own (`create_database`): the server may be used by others.

    Raises:
        SandboxError: there is no PostgreSQL with TimescaleDB, or it did not start, or the named
            one does not let us in, or create databases.
    """
    named = os.environ.get(DSN_VARIABLE)
    if named:
        _try_database(named)
        yield named
    else:
        with Postgres(folder) as server:
            yield server.dsn


def _try_broker(url: str) -> None:
    """Connect once as an MQTT 5 client (§3.1), and see that the broker agrees."""
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or parts.hostname is None:
        raise SandboxError(f"{MQTT_VARIABLE} is not mqtt://[USER:PASSWORD@]HOST[:PORT]")
    address = (parts.hostname, parts.port or _MQTT_PORT)
    connect = mqtt5.ConnectPacket(
        "",
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password).encode(),
        clean_start=True,
    )
    where = f"{MQTT_VARIABLE}: {address[0]}:{address[1]}"
    try:
        with socket.create_connection(address, _ANSWER_SECONDS) as connection:
            connection.sendall(connect.write())
            answer = connection.recv(4)
    except OSError as error:
        raise SandboxError(f"{where} cannot be reached: {error}") from error
    if len(answer) < 4 or answer[0] != _CONNACK:
        raise SandboxError(f"{where} does not answer as a broker of MQTT 5")
    if answer[3] != 0:
        raise SandboxError(
            f"{where} refuses us: {_REASONS.get(answer[3], f'reason code 0x{answer[3]:02x}')}"
        )


def _try_database(dsn: str) -> None:
    """Connect once, and see that a database of its own can be made for the run."""
    try:
        # A thread of its own, because the caller's may be running an event loop.
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(asyncio.run, _rights(dsn)).result()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise SandboxError(f"{DSN_VARIABLE}: {str(error) or type(error).__name__}") from error
    may_create, has_timescaledb = found
    if not may_create:
        raise SandboxError(
            f"{DSN_VARIABLE}: its role may not create databases, and each run makes one of its"
            " own; a superuser allows it with: alter role … createdb"
        )
    if not has_timescaledb:
        raise SandboxError(f"{DSN_VARIABLE}: the server has no TimescaleDB to create extensions of")


async def _rights(dsn: str) -> tuple[bool, bool]:
    connection = await asyncpg.connect(dsn, timeout=_ANSWER_SECONDS)
    try:
        row = await connection.fetchrow(_RIGHTS, timeout=_ANSWER_SECONDS)
    finally:
        await connection.close()
    return (False, False) if row is None else (bool(row[0]), bool(row[1]))
