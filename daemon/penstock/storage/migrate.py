"""Brings the schema of a database up to date.

What always holds: a migration is applied in one transaction together with the record of it, so one
that is killed midway leaves nothing; whoever applies one holds an advisory lock and looks again
under it, so any number of daemons may start at once; and a database that needs nothing is only
read, so the daemon's role need not own it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog

from penstock.errors import FatalError
from penstock.settings.secret import Secret
from penstock.storage.connection import Connection, connect
from penstock.storage.migrations import (
    Applied,
    Migration,
    pending_migrations,
    shipped_migrations,
)
from penstock.storage.queries import query
from penstock.storage.verdict import judged

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 30.0
STATEMENT_SECONDS = 6 * 3600.0
"""A migration may rewrite a large table."""
LOCK_SECONDS = 60.0

_MENDED_BY_WAITING = ("08", "25006", "28", "3D", "40", "53", "55", "57")
"""What a migration may fail with and succeed later: no connection, a lock that is held, …"""


async def migrate(dsn: Secret, shipped: Sequence[Migration] | None = None) -> list[str]:
    """Apply what a database still needs, and return the names of what was applied.

    Errors: `Retryable` when the database is unwell or another session holds the locks for too long;
    `FatalError` when a person has to act, with what to do.
    """
    shipped = shipped_migrations() if shipped is None else shipped
    done: list[str] = []
    async with _session(dsn) as connection:
        if not await _pending(connection, shipped):
            return done
        await _create_extension(connection)
        while name := await _apply_next(connection, shipped):
            log.info("migration_applied", name=name)
            done.append(name)
    return done


async def pending(dsn: Secret, shipped: Sequence[Migration] | None = None) -> list[str]:
    """The names of what a database still needs, applying nothing; errors as for `migrate`."""
    shipped = shipped_migrations() if shipped is None else shipped
    async with _session(dsn) as connection:
        return [migration.name for migration in await _pending(connection, shipped)]


@asynccontextmanager
async def _session(dsn: Secret) -> AsyncIterator[Connection]:
    with judged():
        connection = await connect(dsn, CONNECT_SECONDS, statement_seconds=STATEMENT_SECONDS)
        try:
            yield connection
        finally:
            connection.terminate()


async def _pending(connection: Connection, shipped: Sequence[Migration]) -> Sequence[Migration]:
    if not await connection.fetchval(query("has_schema_migrations")):
        return shipped
    rows = await connection.fetch(query("applied_migrations"))
    return pending_migrations(shipped, [Applied(*row) for row in rows])


async def _apply_next(connection: Connection, shipped: Sequence[Migration]) -> str | None:
    """Apply the first migration that is still needed and return its name, if there is one."""
    async with connection.transaction():
        await connection.execute(query("lock_migrations"), str(round(LOCK_SECONDS * 1000)))
        await connection.execute(query("create_schema_migrations"))
        needed = await _pending(connection, shipped)
        if not needed:
            return None
        await _apply(connection, needed[0])
    return needed[0].name


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        await connection.execute(migration.sql)
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "").startswith(_MENDED_BY_WAITING):
            raise
        raise FatalError(f"migration {migration.name} failed: {error}") from error
    await connection.execute(query("record_migration"), *migration[:2], migration.checksum)


async def _create_extension(connection: Connection) -> None:
    try:
        await connection.execute(query("create_extension"))
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
