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

Some refusals may be of the place where a reading belongs, a chunk that was frozen for one, or of
everything. Then a reading at the present time is tried and taken back: if that is accepted and the
batch is not, a second time, it is its data that is refused, which would else hold up all batches
after it for ever.

What always holds: all of a batch is committed in one transaction or none of it is. Errors are those
of the driver; after any but a refusal of the data the connection is in an unknown state and not to
be used.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import asyncpg
import msgspec
import numpy as np

from penstock.errors import PoisonError
from penstock.model import Batch, NumberColumns, SeriesIndex, TextColumns
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.store import Stored
from penstock.storage.connection import Connection, transaction, trial
from penstock.storage.copying import Copy, commit_copies, copy_rows
from penstock.storage.queries import query
from penstock.storage.rows import Rows
from penstock.storage.series import resolve
from penstock.storage.verdict import Family, refusal_of_place, verdict_of
from penstock.storage.write_set import WriteSet

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

    def __init__(self, connection: Connection, counts: StorageCounts, limit_seconds: float) -> None:
        """`limit_seconds` is what the server gives a statement."""
        self._connection = connection
        self._counts = counts
        self._limit_seconds = limit_seconds
        self._expects_duplicates = False
        self._refused_place: tuple[SeriesIndex, int] | None = None
        """The batch that is known to be refused for its place, whose parts then are, too."""

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
        """Commit a batch, resolving its new series first.

        Errors: `PoisonError` when the database refuses the place of a reading, and others at that.
        """
        await self._resolve_series(batch)
        write_set = WriteSet(batch)
        try:
            stored = await self._write(write_set)
        except asyncpg.PostgresError as error:
            if not _may_be_of_the_place(error):
                raise
            stored = await self._write_elsewhere_and_again(batch, write_set, error)
        return Committed(stored, write_set.numbers, write_set.texts)

    async def _resolve_series(self, batch: Batch) -> None:
        series = np.concatenate([batch.numbers.series, batch.texts.series])
        # Again, if another session had to forget all numbers while this one was waiting.
        while missing := batch.index.unresolved(series):
            await resolve(self._connection, batch.index, missing, self._limit_seconds)

    async def _write(self, write_set: WriteSet) -> Stored:
        if write_set.rows and self._expects_duplicates:
            return await self._write_staged(write_set)
        try:
            await self._write_plain(write_set)
        except asyncpg.UniqueViolationError:
            return await self._write_staged(write_set)
        return write_set.all_inserted()

    async def _write_elsewhere_and_again(
        self, batch: Batch, write_set: WriteSet, error: asyncpg.PostgresError
    ) -> Stored:
        """Find out whether it is the place that is refused, or was for a moment only.

        Errors: `PoisonError` if it is the place; else `error`, or what else there is.
        """
        whole = batch.index, batch.number
        if self._refused_place == whole:
            raise refusal_of_place(error) from error
        if not await self._takes_readings(batch):
            raise error
        try:
            return await self._write(write_set)
        except asyncpg.PostgresError as again:
            if not _may_be_of_the_place(again):
                raise
            self._refused_place = whole
            raise refusal_of_place(again) from again

    async def _write_plain(self, write_set: WriteSet) -> None:
        await commit_copies(self._connection, write_set.copies(), self._limit_seconds)

    async def _write_staged(self, write_set: WriteSet) -> Stored:
        self._counts.staging_batches += 1
        async with transaction(self._connection, self._limit_seconds):
            stored = await self._stage(write_set)
            if write_set.dead_letters is not None:
                await copy_rows(self._connection, write_set.dead_letters)
        self._expects_duplicates = sum(stored.inserted.values()) < write_set.rows
        return stored

    async def _takes_readings(self, batch: Batch) -> bool:
        """Whether the first reading would be accepted now, with the dead letters, either way."""
        now_us = await self._connection.fetchval(query("now_us"))
        try:
            async with trial(self._connection, self._limit_seconds):
                await self._stage(WriteSet(_at(batch, now_us)))
                # It is at this microsecond that another reading stands, which is an answer, too.
                with suppress(asyncpg.UniqueViolationError):
                    for copy in WriteSet(_at(batch, now_us + 1)).copies():
                        await copy_rows(self._connection, copy)
        except asyncpg.PostgresError as error:
            return verdict_of(error.sqlstate or "").family is Family.POISON
        return True

    async def _stage(self, write_set: WriteSet) -> Stored:
        await self._connection.execute(query("create_staging"))
        numbers = await self._insert_staged(write_set.readings, write_set.numbers)
        texts = await self._insert_staged(write_set.readings_text, write_set.texts)
        return write_set.inserted(numbers, texts)

    async def _insert_staged(self, copy: Copy | None, rows: Rows) -> list[tuple[int, int]]:
        """Insert what is new of the rows, and return how many of each series that was."""
        if copy is None:
            return []
        await copy_rows(self._connection, copy._replace(table=STAGING_PREFIX + copy.table))
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


def _may_be_of_the_place(error: asyncpg.PostgresError) -> bool:
    return verdict_of(error.sqlstate or "").family is Family.PLACE


def _at(batch: Batch, ts_us: int) -> Batch:
    """A batch without all but its first numeric and its first text reading, at another time."""
    numbers, texts = batch.numbers.rows(0, 1), batch.texts.rows(0, 1)
    return msgspec.structs.replace(
        batch,
        numbers=NumberColumns(
            numbers.series, np.full_like(numbers.ts_us, ts_us), numbers.value, numbers.quality
        ),
        texts=TextColumns(texts.series, np.full_like(texts.ts_us, ts_us), texts.value),
    )


def _moment(ts_us: np.int64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(ts_us))
