"""Moves batches from a crowded queue to the spool, when the writers do not keep up.

Invariants: the oldest go first, because acknowledgements leave in the order of receipt; a batch
leaves the queue's account once it is on the disk, and returns to the head of the queue when it
could not be put there.
"""

import asyncio
from collections.abc import Callable

from penstock.backoff import Backoff
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.pipeline.buffer import Buffer
from penstock.pipeline.queue import BatchQueue

BATCHES_AT_ONCE = 16
"""These share a commit of the spool."""


class Overflow:
    """The coroutine that does so."""

    def __init__(
        self,
        queue: BatchQueue,
        buffer: Buffer,
        spooled: Callable[[Batch], None],
        backoff: Backoff,
    ) -> None:
        """`spooled` is told of every batch that is on the disk."""
        self._queue = queue
        self._buffer = buffer
        self._spooled = spooled
        self._backoff = backoff

    async def run(self) -> None:
        """Relieve the queue until cancelled."""
        while True:
            await self._queue.crowded.wait()
            batches = self._queue.take(BATCHES_AT_ONCE) if self._buffer.usable else []
            if batches and await self._spool(batches):
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_seconds())

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
