"""Gathers what the database tells, over one connection.

What always holds: every transaction is rolled back, so nothing can be changed; and all that belongs
together is asked in one, because behind a connection pooler the next may run in another session.
"""

import asyncio
import time
from pathlib import Path

from asyncpg import InsufficientPrivilegeError
from msgspec.structs import replace

from penstock.cli.doctor.database import ClockOffset, DatabaseFacts, Server
from penstock.cli.doctor.disks import Disk, disk_of
from penstock.cli.doctor.schema import Extension, Schema
from penstock.errors import FatalError, PenstockError
from penstock.settings.dsn import place_of
from penstock.settings.tree import Settings
from penstock.storage.connection import APPLICATION_NAME, Connection, connect, trial
from penstock.storage.migrations import Applied, pending_migrations, shipped_migrations
from penstock.storage.queries import query
from penstock.storage.verdict import judged

_CLOCK_SAMPLES = 5


async def database_facts(settings: Settings) -> DatabaseFacts:
    """What is learnt of the database; that it cannot be reached is a fact, too.

    Connecting, and everything after it, take `storage.timeout_seconds` each at most.
    """
    facts = DatabaseFacts(place=place_of(settings.storage.dsn))
    timeout_seconds = settings.storage.timeout_seconds
    try:
        with judged():
            connection = await connect(settings.storage.dsn, timeout_seconds)
            try:
                async with asyncio.timeout(timeout_seconds):
                    return await _learn(connection, facts, timeout_seconds)
            finally:
                connection.terminate()
    except PenstockError as error:
        return replace(facts, failure=str(error))


async def _learn(
    connection: Connection, facts: DatabaseFacts, limit_seconds: float
) -> DatabaseFacts:
    async with trial(connection, limit_seconds):
        server = await _server(connection)
        extension = await _extension(connection)
        clock = await _clock(connection)
    pooled = connection.get_server_pid() != server.backend_pid
    return replace(
        facts,
        server=server,
        pooled=pooled,
        extension=extension,
        schema=await _schema(connection, limit_seconds),
        clock=clock,
        disk=None if pooled else _disk(server),
    )


async def _server(connection: Connection) -> Server:
    row = await connection.fetchrow(query("examine_server"), APPLICATION_NAME)
    assert row is not None
    return Server(**dict(row))


async def _extension(connection: Connection) -> Extension:
    row = await connection.fetchrow(query("examine_timescaledb"))
    assert row is not None
    return Extension(**dict(row))


async def _schema(connection: Connection, limit_seconds: float) -> Schema:
    async with trial(connection, limit_seconds):
        row = await connection.fetchrow(query("examine_privileges"))
    assert row is not None
    shipped, fault = shipped_migrations(), ""
    pending: tuple[str, ...] = ()
    try:
        async with trial(connection, limit_seconds):
            needed = pending_migrations(shipped, await _applied(connection))
        pending = tuple(migration.name for migration in needed)
    except InsufficientPrivilegeError as error:
        fault = f"which migrations it has had cannot be read: {error}"
    except FatalError as error:
        fault = str(error)
    return Schema(
        newest=shipped[-1].name,
        pending=pending,
        fault=fault,
        missing_privileges=tuple(row["missing"]),
        may_migrate=row["may_migrate"],
    )


async def _applied(connection: Connection) -> list[Applied]:
    if not await connection.fetchval(query("has_schema_migrations")):
        return []
    return [Applied(*row) for row in await connection.fetch(query("applied_migrations"))]


async def _clock(connection: Connection) -> ClockOffset:
    """Compare the clocks as NTP does: the quickest of a few answers is the most exact."""
    samples = [await _clock_sample(connection) for _ in range(_CLOCK_SAMPLES)]
    return min(samples, key=lambda sample: sample.uncertainty_seconds)


async def _clock_sample(connection: Connection) -> ClockOffset:
    sent_at = time.time()
    theirs = await connection.fetchval("select clock_timestamp()")
    received_at = time.time()
    middle = (sent_at + received_at) / 2
    return ClockOffset(theirs.timestamp() - middle, (received_at - sent_at) / 2)


def _disk(server: Server) -> Disk | None:
    if server.data_directory is None or not server.is_same_machine:
        return None
    return disk_of(Path(server.data_directory))
