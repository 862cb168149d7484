"""Makes and drops databases on any PostgreSQL server, private or not.

The statements that it needs take no parameters in PostgreSQL, so names are quoted here.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import asyncpg

_TIMEOUT_SECONDS = 60.0
_SESSION_END_MS = 10_000


def create_database(server_dsn: str, name: str, *, template: str | None = None) -> str:
    """Create a database, as a copy of `template` if one is named, and return its DSN.

    Raises:
        asyncpg.PostgresError: the server refused, or the template is in use.
        OSError: the server cannot be reached.
    """
    copied = "" if template is None else f" TEMPLATE {_quoted(template)}"
    execute(server_dsn, f"CREATE DATABASE {_quoted(name)}{copied}")
    return urlsplit(server_dsn)._replace(path=f"/{name}").geturl()


def drop_database(server_dsn: str, name: str) -> None:
    """Drop a database, template or not, with whoever is connected to it; a missing one is no error.

    Raises:
        asyncpg.PostgresError: the server refused.
        OSError: the server cannot be reached.
    """
    execute(server_dsn, _no_template(name), f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


def make_template(
    server_dsn: str, name: str, prepare: Callable[[str], object] | None = None
) -> None:
    """Create a database with the TimescaleDB extension and what `prepare` does to it, for copying.

    Nobody can connect to it afterwards, TimescaleDB's own background workers included: a database
    that somebody is connected to cannot be copied.

    Args:
        server_dsn: any database of the server, as a role that may create databases.
        name: what to call the template.
        prepare: called with the new database's DSN, to fill it.

    Raises:
        asyncpg.PostgresError: the server refused, or has no TimescaleDB.
        OSError: the server cannot be reached.
    """
    dsn = create_database(server_dsn, name)
    execute(dsn, "CREATE EXTENSION IF NOT EXISTS timescaledb")
    if prepare is not None:
        prepare(dsn)
    execute(
        server_dsn,
        f"ALTER DATABASE {_quoted(name)} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false",
        _end_of_sessions(name),
    )


def execute(dsn: str, *statements: str) -> None:
    """Run statements one after the other, each in a transaction of its own.

    Raises:
        asyncpg.PostgresError: the server refused one; those before it are committed.
        OSError: the server cannot be reached.
    """
    # A thread of its own, because the caller's may be running an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _execute(dsn, statements)).result()


async def _execute(dsn: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(
        dsn, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS
    )
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _end_of_sessions(name: str) -> str:
    sessions = f"FROM pg_stat_activity WHERE datname = {_literal(name)}"
    return f"SELECT pg_terminate_backend(pid, {_SESSION_END_MS}) {sessions}"


def _no_template(name: str) -> str:
    # Not an UPDATE of pg_database, which takes a superuser: the role may only create databases.
    listed = f"SELECT FROM pg_database WHERE datistemplate AND datname = {_literal(name)}"
    alter = f"ALTER DATABASE {_quoted(name)} WITH IS_TEMPLATE false"
    return f"DO {_literal(f'BEGIN IF EXISTS ({listed}) THEN {alter}; END IF; END')}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
