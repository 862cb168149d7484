"""Brings the schema of a database up to date.

What always holds: a migration is applied in one transaction together with the record of it, so one
that is killed midway leaves nothing; whoever applies one holds an advisory lock and looks again
under it, so any number of daemons may start at once; and a database that needs nothing is only
read, so the daemon's role need not own it. Every wait has a limit; while a migration runs, which
may take hours, a second connection sees whether the database still answers.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import asyncpg
import structlog

from penstock.errors import FatalError, PoisonError
from penstock.settings.secret import Secret
from penstock.storage.connection import Connection, connect, transaction
from penstock.storage.migrations import (
    Applied,
    Migration,
    pending_migrations,
    shipped_migrations,
)
from penstock.storage.queries import query
from penstock.storage.verdict import judged

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 30.0
"""For connecting and for everything that is no migration, unless the caller says otherwise."""
STATEMENT_SECONDS = 6 * 3600.0
"""A migration may rewrite a large table."""
LOCK_SECONDS = 60.0

Result = TypeVar("Result")

_MENDED_BY_WAITING = ("08", "25006", "28", "3D", "40", "53", "55", "57")
"""What a migration may fail with and succeed later: no connection, a lock that is held, …"""


async def migrate(
    dsn: Secret,
    shipped: Sequence[Migration] | None = None,
    *,
    answer_seconds: float = ANSWER_SECONDS,
) -> list[str]:
    """Apply what a database still needs, and return the names of what was applied.

    What the database does not answer within `answer_seconds` fails, a migration itself excepted.

    Errors: `Retryable` when the database is unwell or another session holds the locks for too long;
    `FatalError` when a person has to act, with what to do.
    """
    shipped = shipped_migrations() if shipped is None else shipped
    done: list[str] = []
    async with _session(dsn, answer_seconds) as connection:
        if not await _pending(connection, shipped):
            return done
        _require_unicode(connection)
        await _while_answering(dsn, answer_seconds, _create_extension(connection))
        while name := await _while_answering(dsn, answer_seconds, _apply_next(connection, shipped)):
            log.info("migration_applied", name=name)
            done.append(name)
    return done


async def pending(
    dsn: Secret,
    shipped: Sequence[Migration] | None = None,
    *,
    answer_seconds: float = ANSWER_SECONDS,
) -> list[str]:
    """The names of what a database still needs, applying nothing; errors as for `migrate`."""
    shipped = shipped_migrations() if shipped is None else shipped
    async with _session(dsn, answer_seconds) as connection:
        return [migration.name for migration in await _pending(connection, shipped)]


@asynccontextmanager
async def _session(dsn: Secret, answer_seconds: float) -> AsyncIterator[Connection]:
    try:
        with judged():
            connection = await connect(dsn, answer_seconds)
            try:
                yield connection
            finally:
                connection.terminate()
    except PoisonError as error:
        # There is no data here to blame. A trigger on DDL says so, for one.
        raise FatalError(
            f"the database refuses what migrating takes: {error.detail} ({error.sqlstate})"
        ) from error


async def _pending(connection: Connection, shipped: Sequence[Migration]) -> Sequence[Migration]:
    if not await connection.fetchval(query("has_schema_migrations")):
        return shipped
    rows = await connection.fetch(query("applied_migrations"))
    return pending_migrations(shipped, [Applied(*row) for row in rows])


async def _apply_next(connection: Connection, shipped: Sequence[Migration]) -> str | None:
    """Apply the first migration that is still needed and return its name, if there is one."""
    async with transaction(connection, STATEMENT_SECONDS):
        await connection.execute(
            query("lock_migrations"), str(round(LOCK_SECONDS * 1000)), timeout=2 * LOCK_SECONDS
        )
        await connection.execute(query("create_schema_migrations"))
        needed = await _pending(connection, shipped)
        if not needed:
            return None
        await _apply(connection, needed[0])
    return needed[0].name


async def _while_answering(
    dsn: Secret, answer_seconds: float, applying: Coroutine[None, None, Result]
) -> Result:
    """What `applying` returns; `Retryable` once the database does not answer others meanwhile."""
    task = asyncio.ensure_future(applying)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=answer_seconds)
            if not task.done():
                await _sign_of_life(dsn, answer_seconds)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _sign_of_life(dsn: Secret, answer_seconds: float) -> None:
    # A refusal is an answer.
    with suppress(asyncpg.PostgresError):
        connection = await connect(dsn, answer_seconds)
        connection.terminate()


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        await connection.execute(migration.sql, timeout=STATEMENT_SECONDS)
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "").startswith(_MENDED_BY_WAITING):
            raise
        raise FatalError(f"migration {migration.name} failed: {error}") from error
    await connection.execute(query("record_migration"), *migration[:2], migration.checksum)


def _require_unicode(connection: Connection) -> None:
    """A name that the database cannot spell could be neither stored nor dead-lettered."""
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise FatalError(
            f"the database is encoded in {encoding}, and names and texts may be of any script. "
            "Create another one: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


async def _create_extension(connection: Connection) -> None:
    try:
        await connection.execute(query("create_extension"), timeout=2 * LOCK_SECONDS)
    except asyncpg.FeatureNotSupportedError as error:
        raise FatalError(
            "the database server has no TimescaleDB. Install the package for its version of "
            "PostgreSQL, add timescaledb to shared_preload_libraries and restart it."
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise FatalError(
            "the role may not create the extension timescaledb. Let the database's owner or a "
            "superuser run in it: CREATE EXTENSION timescaledb"
        ) from error
    except asyncpg.ConnectionDoesNotExistError as error:
        if "preloaded" not in str(error):
            raise
        raise FatalError(
            "the database server does not load TimescaleDB. Add timescaledb to "
            "shared_preload_libraries in its postgresql.conf and restart it."
        ) from error
