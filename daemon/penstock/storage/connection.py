"""Opens connections to the database, all with the same guarantees.

What always holds of a connection from here: a commit is durable when it returns, whatever the
role's or the server's default says; and the server itself gives up on a statement when the daemon
would, so that nothing lingers there after the daemon has hung up. It never pools: whoever opens a
connection keeps it, and terminates it after any failure whose outcome is unknown.
"""

import asyncio
from typing import TypeAlias

import asyncpg

from penstock.errors import ConfigError, Retryable
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
            connection = await _connect(dsn, limit_seconds)
            try:
                await connection.execute(query("prepare_session"), _milliseconds(limit_seconds))
            except BaseException:
                connection.terminate()
                raise
    except OSError as error:
        raise Retryable(_unreachable(dsn, error)) from error
    return connection


def _unreachable(dsn: Secret, error: OSError) -> str:
    # TimeoutError is an OSError, too, and has no text.
    problem = str(error) or "no answer in time"
    return f"the database cannot be reached at {place_of(dsn)} (storage.dsn): {problem}"


async def _connect(dsn: Secret, limit_seconds: float) -> Connection:
    try:
        return await asyncpg.connect(
            dsn.reveal(),
            command_timeout=limit_seconds,
            server_settings={"application_name": APPLICATION_NAME},
        )
    except asyncpg.ClientConfigurationError as error:
        raise ConfigError(f"storage.dsn: {error}") from error
    except ValueError:
        # Its text quotes what it could not read, which may be of the password.
        raise ConfigError("storage.dsn: not a DSN that can be read") from None


def _milliseconds(seconds: float) -> str:
    return str(min(round(seconds * 1000), 2**31 - 1))
