"""Stores what is in the spool, beside the live traffic.

What always holds: a record leaves the spool after the commit of all that it holds, never before; a
commit whose outcome is unknown is done again, which storage absorbs; a record that cannot be read
is set aside and the rest goes on; and memory holds three portions at most, whatever the spool
holds.

It is also the one who tries a database that was unwell. Live traffic goes first, and does not
starve it: while the writers hardly keep up it rests after every attempt at a commit, three times as
long as that took. After one that failed it waits in any case, whatever the writers get done.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import structlog

from penstock.backoff import Backoff
from penstock.clock import Clock
from penstock.errors import FatalError, Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, Retry
from penstock.pipeline.bisect import Outcome, store_whole
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.store import Store
from penstock.spool.codec import Contents, decode_body
from penstock.spool.faults import SpoolFault
from penstock.spool.label import Record, Unreadable
from penstock.spool.portion import Portion, Portions
from penstock.spool.spool import Spool

log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[bool]]
"""Says whether the database answers at all."""

IDLE_SECONDS = 0.5
FAREWELL_SECONDS = 1.0
REST = 3.0
"""How much longer than its work is the rest of one who is in the way of others."""
LOOK_SECONDS = 0.5
"""How soon one who rests notices that there is nobody left to give way to."""


class _Committed(NamedTuple):
    """A portion that is in the database and still in the spool."""

    portion: Portion
    outcome: Outcome


class Replayer:
    """The coroutine that drains a spool."""

    def __init__(
        self,
        spool: Spool,
        store: Store,
        probe: Probe,
        breaker: Breaker,
        backoff: Backoff,
        replayed: Callable[[Batch, Outcome], None],
        metrics: Metrics,
        clock: Clock,
        *,
        portion_rows: int,
        portion_bytes: int,
    ) -> None:
        """`replayed` is told of every portion that is committed and out of the spool."""
        self._spool = spool
        self._store = store
        self._probe = probe
        self._breaker = breaker
        self._backoff = backoff
        self._replayed = replayed
        self._metrics = metrics
        self._clock = clock
        self._portion_rows = portion_rows
        self._portion_bytes = portion_bytes
        self._portions = Portions()
        self._loaded: deque[Portion] = deque()
        self._committed: list[_Committed] = []
        self._after = 0
        """The number up to which records were read in this pass over the spool."""
        self._commit_seconds = 0.0
        """How long the commit of this step took, failed or not; 0 when there was none."""
        self._retry_seconds = 0.0
        """How long to wait after it, because it failed."""

    async def run(self, in_the_way: Callable[[], bool]) -> None:
        """Replay until cancelled.

        `in_the_way` says whether it had better rest, for the sake of the live traffic.
        """
        try:
            while True:
                self._spool.changed.clear()
                if not await self._step():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_SECONDS):
                            await self._spool.changed.wait()
                else:
                    await self._rest(in_the_way)
                self._commit_seconds = self._retry_seconds = 0.0
        finally:
            # Else it would be stored again after the next start, and its dead letters be double.
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._remove()

    async def drain(self) -> None:
        """Replay until the spool is empty.

        Errors: `Retryable` when the database does not take something, `FatalError` when the spool
        does not work; doing it again goes on.
        """
        while self._spool.standing.batches or self._committed:
            failures = self._metrics.retries[Retry.REPLAY]
            progressed = await self._step()
            if self._metrics.retries[Retry.REPLAY] > failures or not self._breaker.closed:
                raise Retryable("the database does not take what is in the spool")
            if not progressed and self._spool.status.state == "unusable":
                raise FatalError(self._spool.status.detail)

    async def _rest(self, in_the_way: Callable[[], bool]) -> None:
        # Before the question: just after our own failure the database passes for unwell.
        await asyncio.sleep(self._retry_seconds)
        if not self._commit_seconds or not in_the_way():
            return
        # Not after the rest: what is in the database would be stored again after a kill.
        await self._remove()
        left_seconds = REST * self._commit_seconds
        # When the database fails the others too, they wait for us to try it.
        while left_seconds > 0 and self._breaker.closed:
            await asyncio.sleep(min(left_seconds, LOOK_SECONDS))
            left_seconds -= LOOK_SECONDS

    async def _step(self) -> bool:
        """Store a portion, read the next, and remove the last; false when there is no more to do.

        The three go on side by side. Nothing is stored while removing fails, so that no more than
        two portions are ever in both places.
        """
        if self._committed and not self._loaded:
            return await self._remove()
        if not await self._database_answers():
            return True
        if not self._loaded:
            return await self._load()
        _, _, removed = await asyncio.gather(
            self._commit(self._loaded[0]), self._load(), self._remove()
        )
        while not removed:
            await asyncio.sleep(IDLE_SECONDS)
            removed = await self._remove()
        return True

    async def _database_answers(self) -> bool:
        """Whether it is worth trying to store something; waits before it tries an open breaker."""
        if self._breaker.closed:
            return True
        await asyncio.sleep(self._breaker.wait_seconds)
        if not await self._probe():
            self._breaker.failed()
            return False
        if not self._spool.standing.batches:
            # Nothing to try it with: the live traffic will show.
            self._breaker.succeeded()
        return True

    async def _commit(self, portion: Portion) -> None:
        started_seconds = self._clock.monotonic_seconds()
        try:
            outcome = await store_whole(self._store.store, portion.batch, self._metrics.storage)
        except (Retryable, FatalError) as error:
            # What ends the daemon without a spool is waited for here: nothing is lost meanwhile.
            self._breaker.failed()
            # The breaker's pause is not enough: what the writers get done ends it.
            self._retry_seconds = self._backoff.next_seconds()
            self._metrics.retries[Retry.REPLAY] += 1
            log.warning(
                "replay_failed",
                rows=portion.batch.rows,
                retry_in_seconds=round(self._retry_seconds, 2),
                error=str(error),
            )
        else:
            self._breaker.succeeded()
            self._backoff.reset()
            self._loaded.popleft()
            self._committed.append(_Committed(portion, outcome))
        finally:
            self._commit_seconds = self._clock.monotonic_seconds() - started_seconds

    async def _remove(self) -> bool:
        """Remove what is committed; whether nothing is left in both places."""
        committed = list(self._committed)
        if not committed:
            return True
        try:
            await self._spool.remove([n for one in committed for n in one.portion.numbers])
        except SpoolFault:
            return False
        del self._committed[: len(committed)]
        for portion, outcome in committed:
            self._metrics.spool.replayed_batches += len(portion.numbers)
            self._metrics.spool.replayed_rows += portion.batch.rows
            self._replayed(portion.batch, outcome)
        return True

    async def _load(self) -> bool:
        """Read the next portion; false when there is none."""
        if len(self._loaded) > 1:
            # The database has been refusing the first.
            return True
        try:
            records = await self._spool.read(self._after, self._portion_rows, self._portion_bytes)
        except SpoolFault:
            return False
        if not records:
            # Once more from the beginning, when all that was read is settled: what could not be
            # set aside is still there.
            if not self._loaded and not self._committed:
                self._after = 0
            return False
        self._after = records[-1].number
        await self._take(records)
        return True

    async def _take(self, records: list[Record]) -> None:
        """Make a portion of those records that can be read, and set the others aside."""
        numbers: list[int] = []
        contents: list[Contents] = []
        for record in records:
            try:
                contents.append(decode_body(record.number, record.body))
                numbers.append(record.number)
            except Unreadable as damage:
                await self._set_aside(record, damage)
        if numbers:
            self._loaded.append(self._portions.portion(numbers, contents))

    async def _set_aside(self, record: Record, damage: Unreadable) -> None:
        try:
            await self._spool.set_aside(record, str(damage))
        except SpoolFault:
            # It stays where it is; its turn comes again.
            return
