"""Commits batches over one connection.

Two ways lead into the tables. Plain COPY is the quick one, and fails as a whole when it meets a
reading that is there already. Then the same batch goes through a staging table and INSERT … ON
CONFLICT DO NOTHING, which is half as quick and says exactly what was new. A session that has just
met duplicates expects more, as after a broker has redelivered, and stages at once until a batch
brings none.

A reading whose series has another value at the same microsecond is no duplicate and is not dropped:
it is moved to a time soon after, which follows from its value, so that it is found there when it is
delivered again. Devices whose clock is coarse send such readings, and so do several daemons that
stamp readings without a time.

What always holds: all of a batch is committed in one transaction or none of it is. Errors are those
of the driver; after any but a refusal of the data the connection is in an unknown state and not to
be used.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import asyncpg
import numpy as np

from penstock.errors import PoisonError
from penstock.model import Batch
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.store import Stored
from penstock.storage.connection import Connection
from penstock.storage.queries import query
from penstock.storage.rows import Rows
from penstock.storage.series import resolve
from penstock.storage.write_set import Copy, WriteSet

STAGING_PREFIX: Final = "penstock_"
SHIFTS: Final = 16
"""How often a reading is moved before its time is given up as taken."""
MOST_SHIFTED_US: Final = 1_024
"""How far one shift moves a reading at most."""
TIME_TAKEN: Final = "23505"
"""SQLSTATE unique_violation."""


class Committed(NamedTuple):
    """What a batch became, and the order in which its readings were written."""

    stored: Stored
    numbers: Rows
    texts: Rows


class Session:
    """A connection for whoever stores batches, one at a time."""

    def __init__(self, connection: Connection, counts: StorageCounts) -> None:
        self._connection = connection
        self._counts = counts
        self._expects_duplicates = False

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._connection.is_closed()

    def terminate(self) -> None:
        """Hang up, whatever is under way."""
        self._connection.terminate()

    async def close(self) -> None:
        """Take leave of the server."""
        await self._connection.close()

    async def ping(self) -> None:
        """Ask the server for a sign of life."""
        await self._connection.execute("select")

    async def commit(self, batch: Batch) -> Committed:
        """Commit a batch, resolving its new series first."""
        await self._resolve_series(batch)
        write_set = WriteSet(batch)
        return Committed(await self._write(write_set), write_set.numbers, write_set.texts)

    async def _resolve_series(self, batch: Batch) -> None:
        series = np.concatenate([batch.numbers.series, batch.texts.series])
        # Again, if another session had to forget all numbers while this one was waiting.
        while missing := batch.index.unresolved(series):
            await resolve(self._connection, batch.index, missing)

    async def _write(self, write_set: WriteSet) -> Stored:
        if write_set.rows and self._expects_duplicates:
            return await self._write_staged(write_set)
        try:
            await self._write_plain(write_set.copies())
        except asyncpg.UniqueViolationError:
            return await self._write_staged(write_set)
        return write_set.all_inserted()

    async def _write_plain(self, copies: Sequence[Copy]) -> None:
        if len(copies) == 1:
            # A statement is a transaction by itself: no round trips for BEGIN and COMMIT.
            await self._copy(copies[0])
        elif copies:
            async with self._connection.transaction():
                for copy in copies:
                    await self._copy(copy)

    async def _write_staged(self, write_set: WriteSet) -> Stored:
        self._counts.staging_batches += 1
        async with self._connection.transaction():
            await self._connection.execute(query("create_staging"))
            numbers = await self._insert_staged(write_set.readings, write_set.numbers)
            texts = await self._insert_staged(write_set.readings_text, write_set.texts)
            if write_set.dead_letters is not None:
                await self._copy(write_set.dead_letters)
        stored = write_set.inserted(numbers, texts)
        self._expects_duplicates = sum(stored.inserted.values()) < write_set.rows
        return stored

    async def _insert_staged(self, copy: Copy | None, rows: Rows) -> list[tuple[int, int]]:
        """Insert what is new of the rows, and return how many of each series that was."""
        if copy is None:
            return []
        await self._copy(copy, prefix=STAGING_PREFIX)
        inserted = await self._insert_new(copy.table)
        if sum(count for _, count in inserted) < len(rows):
            inserted += await self._insert_shifted(copy.table, rows)
        return inserted

    async def _insert_new(self, table: str) -> list[tuple[int, int]]:
        inserted = await self._connection.fetch(query(f"insert_{table}"))
        return [(series_id, rows) for series_id, rows in inserted]

    async def _insert_shifted(self, table: str, rows: Rows) -> list[tuple[int, int]]:
        """Insert readings whose time is taken by another value of their series soon after it.

        Errors: `PoisonError` when the times soon after are taken, too.
        """
        inserted: list[tuple[int, int]] = []
        bounds = _moment(rows.ts_us.min()), _moment(rows.ts_us.max() + SHIFTS * MOST_SHIFTED_US)
        for shift in range(SHIFTS + 1):
            await self._connection.execute(query(f"discard_repeated_{table}"), *bounds)
            moved = await self._connection.execute(query(f"shift_{table}"), shift)
            if moved == "UPDATE 0":
                self._counts.shifted_readings += sum(count for _, count in inserted)
                return inserted
            inserted += await self._insert_new(table)
        raise PoisonError(TIME_TAKEN, "other values of the series have this time and the next")

    async def _copy(self, copy: Copy, prefix: str = "") -> None:
        await self._connection.copy_to_table(
            prefix + copy.table,
            source=copy.data,  # type: ignore[arg-type]  # takes buffers, its stubs do not know
            columns=copy.columns,
            format="binary",
        )


def _moment(ts_us: np.int64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(ts_us))
