"""Reads, marks and purges the dead letters, for people and for replay.

Writers put dead letters in, together with the batch that brought them; nothing here does.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

import msgspec

from penstock.errors import Reason
from penstock.settings.secret import Secret
from penstock.storage.connection import Connection, connect, transaction
from penstock.storage.queries import query
from penstock.storage.verdict import judged

PURGE_ROWS = 5_000
"""Deleted in one transaction, so that a large purge holds nothing for long."""

Status = Literal["new", "replayed"]


class StoredDeadLetter(msgspec.Struct, frozen=True):
    """A row of the table."""

    id: int
    received_at: datetime
    tenant: str | None
    device: str | None
    topic: str | None
    payload: bytes
    reason: str
    """One of `Reason`, or one that an older version knew."""
    detail: str
    sqlstate: str | None
    correlation_id: str | None
    status: Status
    replayed_at: datetime | None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters; a filter left out lets everything through."""

    tenant: str | None = None
    reason: Reason | None = None
    status: Status | None = None
    since: datetime | None = None
    """Received at this time or later."""
    before: datetime | None = None
    """Received earlier than this time."""


class DeadLetters:
    """The dead letters of one database, over one connection.

    Errors of every method: `Retryable` when the database is unwell.
    """

    def __init__(self, connection: Connection, limit_seconds: float) -> None:
        self._connection = connection
        self._limit_seconds = limit_seconds

    async def newest(
        self, selection: Selection, limit: int, *, below_id: int | None = None
    ) -> Sequence[StoredDeadLetter]:
        """The newest that match, newest first, at most `limit`; those with ids below `below_id`."""
        async with self._transaction():
            rows = await self._connection.fetch(
                query("list_dead_letters"), *msgspec.structs.astuple(selection), below_id, limit
            )
        return [StoredDeadLetter(*row) for row in rows]

    async def pages(
        self, selection: Selection, page_rows: int = 50
    ) -> AsyncIterator[Sequence[StoredDeadLetter]]:
        """All that match, newest first, a page at a time, so that memory is that of one page."""
        below_id = None
        while page := await self.newest(selection, page_rows, below_id=below_id):
            yield page
            below_id = page[-1].id

    async def count(self, selection: Selection) -> int:
        """How many match."""
        async with self._transaction():
            matching: int = await self._connection.fetchval(
                query("count_dead_letters"), *msgspec.structs.astuple(selection)
            )
        return matching

    async def get(self, dead_letter_id: int) -> StoredDeadLetter | None:
        """The one with this id, if there is one."""
        async with self._transaction():
            row = await self._connection.fetchrow(query("get_dead_letter"), dead_letter_id)
        return None if row is None else StoredDeadLetter(*row)

    async def mark_replayed(self, ids: Sequence[int]) -> int:
        """Mark those that are new as replayed now, and say how many that were."""
        async with self._transaction():
            marked: int = await self._connection.fetchval(
                query("mark_dead_letters_replayed"), list(ids)
            )
        return marked

    async def purge(self, selection: Selection) -> int:
        """Delete all that match for good, and say how many that were."""
        purged = 0
        while rows := await self._purge_some(selection):
            purged += rows
        return purged

    async def _purge_some(self, selection: Selection) -> int:
        async with self._transaction():
            rows: int = await self._connection.fetchval(
                query("purge_dead_letters"), *msgspec.structs.astuple(selection), PURGE_ROWS
            )
        return rows

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        with judged():
            async with transaction(self._connection, self._limit_seconds):
                yield


@asynccontextmanager
async def open_dead_letters(dsn: Secret, timeout_seconds: float) -> AsyncIterator[DeadLetters]:
    """Open a connection for as long as dead letters are wanted; `Retryable` if there is none."""
    with judged():
        connection = await connect(dsn, timeout_seconds)
    try:
        yield DeadLetters(connection, timeout_seconds)
    finally:
        connection.terminate()
