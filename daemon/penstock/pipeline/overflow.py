"""Moves batches that wait too long from the queue to the spool.

A full queue alone is no reason to. While the database takes batches, what fills the queue is that
more comes than it, or this process, can do: then the source pauses, and the broker holds back what
is more. The way over the disk would cost the thread that has no time, and the database that has
none either, more than the direct one, so that less would be stored in the end. So a batch goes to
the spool

- when it has waited for a writer for half of `spool.after_seconds`: the database is so slow that
  acknowledgements would be late. Half, so that a queue that fills in that time while the database
  hangs is relieved before the writers, who wait for its answer for the whole, give up;
- within a second, while the breaker is open: the writers do the same at once with those that they
  get, two or so at a time, and here many share a commit.

It is the same for messages of QoS 0. The broker drops them when its own queue is full; those which
the spool would save at saturation would cost the more that are not read meanwhile.

Invariants: the oldest go first, because acknowledgements leave in the order of receipt; a batch
leaves the queue's account once it is on the disk, and returns to the head of the queue when it
could not be put there. Without a spool that works nothing is moved.
"""

import asyncio
from collections.abc import Callable

from penstock.backoff import Backoff
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.buffer import Buffer
from penstock.pipeline.queue import BatchQueue

BATCHES_AT_ONCE = 16
"""These share a commit of the spool."""
LEAST_LOOK_SECONDS = 0.05
MOST_LOOK_SECONDS = 1.0
"""Bounds of the pause after which it looks again."""


class Overflow:
    """The coroutine that does so."""

    def __init__(
        self,
        queue: BatchQueue,
        buffer: Buffer,
        spooled: Callable[[Batch], None],
        *,
        breaker: Breaker,
        backoff: Backoff,
        patience_seconds: float,
    ) -> None:
        """`spooled` is told of every batch that is on the disk.

        `patience_seconds` is how long a batch may wait for a writer.
        """
        self._queue = queue
        self._buffer = buffer
        self._spooled = spooled
        self._breaker = breaker
        self._backoff = backoff
        self._patience_seconds = patience_seconds

    @property
    def near(self) -> bool:
        """Whether the writers hardly keep up, so that whoever is in their way had better rest."""
        late = self._queue.waited_seconds >= self._patience_seconds / 2
        return self._breaker.closed and (late or self._queue.crowded)

    async def run(self) -> None:
        """Relieve the queue until cancelled."""
        while True:
            batches = self._due()
            if not batches:
                await asyncio.sleep(self._look_seconds())
            elif await self._spool(batches):
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_seconds())

    def _due(self) -> list[Batch]:
        if not self._buffer.usable:
            return []
        patience_seconds = self._patience_seconds if self._breaker.closed else 0.0
        return self._queue.take(BATCHES_AT_ONCE, patience_seconds)

    def _look_seconds(self) -> float:
        """Until the oldest batch is due, or one that comes now would be."""
        if not self._breaker.closed:
            return LEAST_LOOK_SECONDS
        due_seconds = self._patience_seconds - self._queue.waited_seconds
        return min(MOST_LOOK_SECONDS, max(LEAST_LOOK_SECONDS, due_seconds))

    async def _spool(self, batches: list[Batch]) -> bool:
        """Put batches on the disk; whether all of them are there now."""
        try:
            results = await asyncio.gather(
                *map(self._buffer.append, batches), return_exceptions=True
            )
        except asyncio.CancelledError:
            self._queue.give_back(batches)
            raise
        refused = []
        for batch, error in zip(batches, results, strict=True):
            if error is None:
                self._queue.settle(batch)
                self._spooled(batch)
            elif isinstance(error, Retryable):
                refused.append(batch)
            else:
                raise error
        self._queue.give_back(refused)
        return not refused
