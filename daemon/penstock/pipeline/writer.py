"""Takes batches off the queue and stores each until it is stored.

Invariants: a batch is settled exactly once, after all of its rows and dead letters are committed;
an unwell database is waited for with backoff, while the batch keeps its place against the queue's
bounds and its messages stay unacknowledged; poison is bisected out, never dropped.

The writer never acknowledges: it reports the outcome, and whoever wired it does the rest.
"""

import asyncio
from collections.abc import Callable

import structlog

from penstock.backoff import Backoff
from penstock.clock import Clock
from penstock.errors import PoisonError, Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, Retry
from penstock.pipeline.bisect import Outcome, store_around_poison
from penstock.pipeline.queue import BatchQueue
from penstock.pipeline.store import Store, Stored

log = structlog.get_logger(__name__)

Committed = Callable[[Batch, Outcome, float], None]
"""Told of every committed batch: what it was, what it became, and the seconds it took."""


class Writer:
    """One of the coroutines that store batches, each with a store and a connection of its own."""

    def __init__(
        self,
        name: str,
        queue: BatchQueue,
        store: Store,
        committed: Committed,
        backoff: Backoff,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.name = name
        self._queue = queue
        self._store = store
        self._committed = committed
        self._backoff = backoff
        self._metrics = metrics
        self._clock = clock
        self.busy = False

    async def run(self) -> None:
        """Store batches until cancelled."""
        while True:
            batch = await self._queue.get()
            self.busy = True
            started_seconds = self._clock.monotonic_seconds()
            outcome = await self._store_whole(batch)
            self._queue.settle(batch)
            self._committed(batch, outcome, self._clock.monotonic_seconds() - started_seconds)
            self.busy = False

    async def _store_whole(self, batch: Batch) -> Outcome:
        try:
            stored = await self._store_patiently(batch)
        except PoisonError as error:
            self._metrics.storage.bisections += 1
            log.warning(
                "batch_refused", rows=batch.rows, sqlstate=error.sqlstate, detail=error.detail
            )
            return await store_around_poison(self._store_patiently, batch, error)
        return Outcome(stored.inserted, stored.duplicates, batch.dead_letters)

    async def _store_patiently(self, batch: Batch) -> Stored:
        """Store a batch, trying again for as long as the database is unwell."""
        while True:
            try:
                stored = await self._store.store(batch)
            except Retryable as error:
                await self._wait_after(error)
            else:
                self._backoff.reset()
                return stored

    async def _wait_after(self, error: Retryable) -> None:
        self._metrics.retries[Retry.STORE] += 1
        delay_seconds = self._backoff.next_seconds()
        log.warning(
            "store_failed",
            writer=self.name,
            retry_in_seconds=round(delay_seconds, 2),
            error=str(error),
        )
        await asyncio.sleep(delay_seconds)
