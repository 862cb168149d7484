"""What a test sees of, and does to, the database behind the daemon's back."""

import asyncio
import time
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from tests.support.readings import Reading

DEADLINE_SECONDS = 30.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def as_role(dsn: str, role: str) -> str:
    """The same database as another role, whose password is its name."""
    host = urlsplit(dsn).netloc.rpartition("@")[2]
    return urlsplit(dsn)._replace(netloc=f"{role}:{role}@{host}").geturl()


class Database:
    """A session of the test's own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def run(self, sql: str) -> None:
        if sql:
            await self.connection.execute(sql)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.connection.fetch(sql)]

    async def value(self, sql: str) -> Any:
        return await self.connection.fetchval(sql)

    async def numbers(self) -> list[Reading]:
        """All numeric readings, by the names in the view."""
        return [
            Reading(*row)
            for row in await self.rows(
                "select metric, (extract(epoch from ts) * 1000000)::bigint, value, device, tenant,"
                " quality from telemetry order by tenant, device, metric, ts"
            )
        ]

    async def texts(self) -> list[Reading]:
        """All text readings, by the names in the view."""
        return [
            Reading(*row)
            for row in await self.rows(
                "select metric, (extract(epoch from ts) * 1000000)::bigint, value, device, tenant"
                " from telemetry_text order by tenant, device, metric, ts"
            )
        ]

    async def sessions(self, condition: str = "true") -> list[int]:
        """The process ids of the daemon's sessions in this database for which `condition` holds."""
        await self.run("select pg_stat_clear_snapshot()")  # a transaction sees one snapshot only
        rows = await self.rows(
            "select pid from pg_stat_activity where application_name = 'penstock'"
            f" and datname = current_database() and {condition}"
        )
        return [pid for (pid,) in rows]

    async def waiting_session(self) -> int:
        """The process id of the one session of the daemon that waits for a lock, once it does."""
        return (await self._until_sessions("wait_event_type = 'Lock'"))[0]

    async def until_no_session(self, condition: str) -> None:
        await self._until_sessions(condition, wanted=False)

    async def until_rows(self, sql: str) -> None:
        """Return once the query finds something."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not await self.rows(sql):
            assert time.monotonic() < deadline, f"never any rows: {sql}"
            await asyncio.sleep(0.01)

    async def _until_sessions(self, condition: str, *, wanted: bool = True) -> list[int]:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while bool(found := await self.sessions(condition)) is not wanted:
            assert time.monotonic() < deadline, f"sessions with {condition}: {found}"
            await asyncio.sleep(0.01)
        return found
