"""Opens connections to the database, and transactions on them, all with the same guarantees.

What always holds of a transaction from here: its commit is durable when it returns, whatever the
role's or the server's default says; and the server itself gives up on a statement when the daemon
would, so that nothing lingers there after the daemon has hung up.

No settings and no named statements are left behind in the server's session: behind a connection
pooler in transaction mode the next transaction may run in another session, and the next client in
this one. It never pools itself: whoever opens a connection keeps it, and terminates it after any
failure whose outcome is unknown.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg

from penstock.errors import ConfigError, PenstockError, Retryable
from penstock.settings.dsn import place_of
from penstock.settings.secret import Secret
from penstock.storage.queries import query

APPLICATION_NAME = "penstock"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def connect(
    dsn: Secret, timeout_seconds: float, *, statement_seconds: float | None = None
) -> Connection:
    """Open a connection within `timeout_seconds`, which bounds each statement on it as well.

    Errors: `ConfigError` when the DSN is unusable; `Retryable` that names the host when nobody
    answers there; otherwise the driver's, to be judged by the caller.

    Args:
        dsn: where the database is.
        timeout_seconds: the limit for connecting.
        statement_seconds: the limit for a statement, when it is another.
    """
    limit_seconds = timeout_seconds if statement_seconds is None else statement_seconds
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _connect(dsn, limit_seconds)
    except OSError as error:
        raise Retryable(_unreachable(dsn, error)) from error


@asynccontextmanager
async def transaction(connection: Connection, limit_seconds: float) -> AsyncIterator[None]:
    """Commit what is done inside, durably, or none of it; a statement ends in `limit_seconds`.

    After a refusal by the server it is rolled back and the connection can be used again. Anything
    else, a timeout for one, leaves the connection in an unknown state.
    """
    async with _begun(connection, limit_seconds):
        yield
    check_committed(await connection.execute("commit"))


@asynccontextmanager
async def trial(connection: Connection, limit_seconds: float) -> AsyncIterator[None]:
    """As `transaction`, but nothing of what is done inside stays."""
    async with _begun(connection, limit_seconds):
        yield
    await connection.execute("rollback")


def begin(limit_seconds: float) -> str:
    """The statements that begin a transaction, whose statements end in `limit_seconds` each."""
    # In one round trip, which leaves no place for an argument.
    return query("begin").format(limit_ms=_milliseconds(limit_seconds))


def check_committed(status: str) -> None:
    """`Retryable` unless `status` is what the server says of a commit that took place."""
    if status != "COMMIT":
        # What it says when it had given the transaction up before.
        raise Retryable(f"the transaction was not committed ({status})")


@asynccontextmanager
async def rolled_back(connection: Connection) -> AsyncIterator[None]:
    """Roll back after a refusal; where an answer is missing, none is waited for again."""
    try:
        yield
    except (asyncpg.PostgresError, PenstockError):
        await _roll_back(connection)
        raise


@asynccontextmanager
async def _begun(connection: Connection, limit_seconds: float) -> AsyncIterator[None]:
    """Begin, and roll back after a refusal; else it is for the caller to end it."""
    await connection.execute(begin(limit_seconds))
    async with rolled_back(connection):
        yield


async def _roll_back(connection: Connection) -> None:
    # If the connection is gone, what has ended it is the error to be told of.
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.execute("rollback")


def _unreachable(dsn: Secret, error: OSError) -> str:
    # TimeoutError is an OSError, too, and has no text.
    problem = str(error) or "no answer in time"
    return f"the database cannot be reached at {place_of(dsn)} (storage.dsn): {problem}"


async def _connect(dsn: Secret, limit_seconds: float) -> Connection:
    try:
        return await asyncpg.connect(
            dsn.reveal(),
            command_timeout=limit_seconds,
            statement_cache_size=0,
            server_settings={"application_name": APPLICATION_NAME},
        )
    except asyncpg.ClientConfigurationError as error:
        raise ConfigError(f"storage.dsn: {error}") from error
    except OSError:
        # A certificate that is not accepted is a ValueError as well.
        raise
    except ValueError:
        # Its text quotes what it could not read, which may be of the password.
        raise ConfigError("storage.dsn: not a DSN that can be read") from None


def _milliseconds(seconds: float) -> int:
    # To PostgreSQL 0 is no limit at all.
    return min(max(1, round(seconds * 1000)), 2**31 - 1)
