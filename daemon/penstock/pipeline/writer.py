"""Takes batches off the queue and stores each until it is safe: in the database, or in the spool.

Invariants: a batch is settled exactly once, after all of its rows and dead letters are committed or
the whole of it is on the disk; poison is bisected out, never dropped. While neither the database
nor the spool takes it, a batch keeps its place against the queue's bounds, its messages stay
unacknowledged, and both are tried again with backoff.

A database that does not answer within `patience_seconds` counts as unwell where there is a spool to
turn to. What became of the batch there is unknown then: it is replayed, and what was stored is
found to be there already.

The writer never acknowledges: it reports the outcome, and whoever wired it does the rest.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from penstock.backoff import Backoff
from penstock.clock import Clock
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, Retry
from penstock.pipeline.bisect import Outcome, store_whole
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.buffer import Buffer
from penstock.pipeline.queue import BatchQueue
from penstock.pipeline.store import Store, Stored

log = structlog.get_logger(__name__)


class Reports(NamedTuple):
    """Told of every batch that is safe, in the order in which they became so."""

    committed: Callable[[Batch, Outcome, float], None]
    """What it was, what it became, and the seconds it took."""
    spooled: Callable[[Batch], None]


class Writer:
    """One of the coroutines that store batches, each with a store and a connection of its own."""

    def __init__(
        self,
        name: str,
        queue: BatchQueue,
        store: Store,
        buffer: Buffer,
        reports: Reports,
        *,
        breaker: Breaker,
        backoff: Backoff,
        metrics: Metrics,
        clock: Clock,
        patience_seconds: float,
    ) -> None:
        self.name = name
        self._queue = queue
        self._store = store
        self._buffer = buffer
        self._breaker = breaker
        self._reports = reports
        self._backoff = backoff
        self._metrics = metrics
        self._clock = clock
        self._patience_seconds = patience_seconds
        self.busy = False

    async def run(self) -> None:
        """Store batches until cancelled."""
        while True:
            batch = await self._queue.get()
            self.busy = True
            await self._make_safe(batch)
            self._backoff.reset()
            self.busy = False

    async def _make_safe(self, batch: Batch) -> None:
        while True:
            if await self._store_in_database(batch) or await self._spool(batch):
                return
            await asyncio.sleep(self._backoff.next_seconds())

    async def _store_in_database(self, batch: Batch) -> bool:
        """Whether the batch is committed now."""
        if not self._breaker.closed and self._buffer.usable:
            return False
        started_seconds = self._clock.monotonic_seconds()
        try:
            outcome = await store_whole(self._store_part, batch, self._metrics.storage)
        except Retryable:
            self._breaker.failed()
            return False
        self._queue.settle(batch)
        store_seconds = self._clock.monotonic_seconds() - started_seconds
        self._reports.committed(batch, outcome, store_seconds)
        return True

    async def _spool(self, batch: Batch) -> bool:
        """Whether the batch is on the disk now."""
        if not self._buffer.usable:
            return False
        try:
            await self._buffer.append(batch)
        except Retryable:
            return False
        self._queue.settle(batch)
        self._reports.spooled(batch)
        return True

    async def _store_part(self, part: Batch) -> Stored:
        """Store a batch or a part of one, trying again for as long as there is no other place."""
        while True:
            try:
                stored = await self._attempt(part)
            except Retryable as error:
                self._breaker.failed()
                self._metrics.retries[Retry.STORE] += 1
                if self._buffer.usable:
                    log.warning("store_failed", writer=self.name, error=str(error))
                    raise
                await self._wait_after(error)
            else:
                self._breaker.succeeded()
                return stored

    async def _attempt(self, part: Batch) -> Stored:
        if not self._buffer.usable:
            return await self._store.store(part)
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await self._store.store(part)
        except TimeoutError:
            raise Retryable(
                f"the database did not answer within {self._patience_seconds:g} s"
            ) from None

    async def _wait_after(self, error: Retryable) -> None:
        delay_seconds = self._backoff.next_seconds()
        log.warning(
            "store_failed",
            writer=self.name,
            retry_in_seconds=round(delay_seconds, 2),
            error=str(error),
        )
        await asyncio.sleep(delay_seconds)
