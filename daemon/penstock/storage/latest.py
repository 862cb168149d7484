"""Keeps the tables `latest` and `devices.last_seen_at` near the newest reading of each series.

Writers tell of what they have committed, which costs them a few numpy operations a batch; about
once a second all of it is written together, over a connection of its own.

What always holds: a newer value is never replaced by an older one, whoever else writes; what could
not be written is kept and written later; the memory used is that of one row for each series; and
writing takes a tenth of the time at most, so it backs off before it weighs on the database. What
was committed in the last second before a crash may be missing, until the next reading of the series
or its redelivery: the exact answer is always the newest row of `readings`, which its primary key
finds.
"""

import asyncio

import numpy as np
import structlog

from penstock.clock import Clock
from penstock.errors import PoisonError, Retryable
from penstock.model import Batch, SeriesIndex
from penstock.settings.tree import Storage
from penstock.storage.connection import Connection, connect, transaction
from penstock.storage.copy_format import POSTGRES_EPOCH_US, encode_columns
from penstock.storage.newest import NEVER, Newest, Taken
from penstock.storage.queries import query
from penstock.storage.rows import Rows
from penstock.storage.series import forget, resolve
from penstock.storage.verdict import judged

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
IDLE_SHARE = 9.0
"""How much longer than the last writing the pause after it is at least."""
COLUMNS = ("series_id", "seen_at", "ts", "value", "quality")


class Latest:
    """Collects what was committed and writes what is newest of it."""

    def __init__(self, settings: Storage, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._connection: Connection | None = None
        self._pending: dict[SeriesIndex, Newest] = {}
        self._connected_before = False
        self._failing = False

    def note(self, batch: Batch, numbers: Rows, texts: Rows) -> None:
        """Take note of a committed batch and the order in which its readings were written."""
        newest = self._pending.setdefault(batch.index, Newest())
        newest.grow(len(batch.index.ids))
        at = numbers.newest()
        series = batch.numbers.series[at]
        newest.hear(series, batch.first_received_us)
        newest.learn(
            series,
            batch.numbers.ts_us[at],
            batch.numbers.value[at],
            batch.numbers.quality[at],
        )
        newest.hear(batch.texts.series[texts.newest()], batch.first_received_us)

    async def run(self) -> None:
        """Write about once a second, until cancelled."""
        pause_seconds = INTERVAL_SECONDS
        while True:
            await asyncio.sleep(pause_seconds)
            started_seconds = self._clock.monotonic_seconds()
            await self.flush()
            elapsed_seconds = self._clock.monotonic_seconds() - started_seconds
            pause_seconds = max(INTERVAL_SECONDS, IDLE_SHARE * elapsed_seconds)

    async def flush(self) -> None:
        """Write what is pending; what cannot be written now is kept."""
        try:
            for index, newest in list(self._pending.items()):
                await self._flush(index, newest)
                if newest.empty and index is not next(reversed(self._pending)):
                    # The intake has gone on to a new index. Should a batch of this one still come,
                    # it starts anew, and the database sees to it that nothing older is written.
                    del self._pending[index]
        except (Retryable, PoisonError) as error:
            if not self._failing:
                log.warning("latest_not_written", error=str(error), effect="it lags until it heals")
            self._failing = True
        else:
            self._failing = False

    async def close(self) -> None:
        """Write what is pending and hang up."""
        await self.flush()
        self._hang_up()

    async def _flush(self, index: SeriesIndex, newest: Newest) -> None:
        if newest.empty:
            return
        taken = newest.take()
        try:
            with judged():
                async with asyncio.timeout(self._settings.timeout_seconds):
                    await self._write(index, taken)
        except BaseException:
            newest.give_back(taken)
            self._hang_up()
            raise

    async def _write(self, index: SeriesIndex, taken: Taken) -> None:
        connection = await self._connected()
        while missing := index.unresolved(taken.series):
            await resolve(connection, index, missing, self._settings.timeout_seconds)
        data = _encode(index, taken)
        async with transaction(connection, self._settings.timeout_seconds):
            await connection.execute(query("create_latest_staging"))
            await connection.copy_to_table(
                "penstock_latest",
                source=data,  # type: ignore[arg-type]  # takes buffers, its stubs do not know
                columns=COLUMNS,
                format="binary",
            )
            await connection.execute(query("lock_latest"))
            await connection.execute(query("update_latest"))
            await connection.execute(query("update_last_seen"))

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._settings.dsn, self._settings.timeout_seconds)
            if self._connected_before:
                for index in self._pending:
                    forget(index)
            self._connected_before = True
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _encode(index: SeriesIndex, taken: Taken) -> memoryview:
    # PostgreSQL's '-infinity' is the oldest integer too.
    ts = np.where(taken.ts_us == NEVER, NEVER, taken.ts_us - POSTGRES_EPOCH_US)
    seen = taken.seen_us - POSTGRES_EPOCH_US
    return encode_columns(index.ids[taken.series], seen, ts, taken.value, taken.quality)
