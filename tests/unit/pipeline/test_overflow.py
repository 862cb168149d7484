"""What waits too long in the queue goes to the spool; what merely waits is left to the writers."""

import asyncio
from collections.abc import Awaitable, Callable

from penstock.backoff import Backoff
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.overflow import Overflow
from penstock.pipeline.queue import BatchQueue
from tests.support.batches import batch_of
from tests.support.clocks import ManualClock
from tests.support.virtual_time import VirtualTimeLoop

PATIENCE_SECONDS = 1.0
SOON_SECONDS = 0.1
"""Longer than a look around takes, or the way to the spool."""


class Buffer:
    """Takes batches, all but those whose numbers are refused."""

    def __init__(self) -> None:
        self.usable = True
        self.refused: set[int] = set()
        self.taken: list[int] = []

    async def append(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if batch.number in self.refused:
            raise Retryable("disk full")
        self.taken.append(batch.number)


class Bench:
    """A queue that 10 batches fill, and what becomes of them."""

    def __init__(self, clock: ManualClock) -> None:
        self.queue = BatchQueue(
            max_rows=100,
            max_bytes=10**9,
            on_full=lambda: None,
            on_room=lambda: None,
            clock=clock,
        )
        self.buffer = Buffer()
        self.spooled: list[int] = []
        self.breaker = Breaker(Backoff(60, 60, lambda: 0.5), clock)
        self.overflow = Overflow(
            self.queue,
            self.buffer,
            lambda batch: self.spooled.append(batch.number),
            breaker=self.breaker,
            backoff=Backoff(0.001, 0.002, lambda: 0.5),
            patience_seconds=PATIENCE_SECONDS,
        )

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.put(batch_of(rows=10, number=number))

    async def write(self, batches: int) -> None:
        """A writer stores so many."""
        for _ in range(batches):
            self.queue.settle(await self.queue.get())


def beside_the_overflow(act: Callable[[Bench], Awaitable[None]]) -> None:
    """Run `act` while the overflow runs, in virtual time."""
    clock = ManualClock()

    async def run() -> None:
        bench = Bench(clock)
        task = asyncio.create_task(bench.overflow.run())
        await act(bench)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
        runner.run(run())


def test_a_full_queue_that_the_writers_empty_in_time_is_left_to_them() -> None:
    async def act(bench: Bench) -> None:
        bench.put(*range(1, 11))
        for number in range(11, 100):
            assert bench.queue.full
            await asyncio.sleep(0.08 * PATIENCE_SECONDS)
            await bench.write(1)
            bench.put(number)
        assert bench.spooled == []

    beside_the_overflow(act)


def test_what_has_waited_long_goes_to_the_spool_and_nothing_else() -> None:
    async def act(bench: Bench) -> None:
        bench.put(1)
        await bench.queue.get()
        bench.put(2, 3)
        await asyncio.sleep(PATIENCE_SECONDS / 2)
        bench.put(4)
        await asyncio.sleep(PATIENCE_SECONDS / 2 - SOON_SECONDS)
        assert bench.spooled == []
        await asyncio.sleep(2 * SOON_SECONDS)
        assert bench.spooled == [2, 3]
        assert [batch.number for batch in bench.queue.unsettled.values()] == [1, 4]
        await asyncio.sleep(PATIENCE_SECONDS / 2)
        assert bench.spooled == [2, 3, 4]

    beside_the_overflow(act)


def test_of_a_queue_that_is_emptied_too_slowly_the_writers_get_what_they_can_store() -> None:
    async def act(bench: Bench) -> None:
        written = 0
        for number in range(1, 201):
            bench.put(number)
            await asyncio.sleep(0.1 * PATIENCE_SECONDS)
            if number % 4 == 0 and len(bench.queue):
                await bench.write(1)
                written += 1
        assert written == 50
        assert len(bench.queue) <= 12
        assert len(bench.spooled) == 200 - written - len(bench.queue)

    beside_the_overflow(act)


def test_while_the_database_is_down_everything_goes_to_the_spool_at_once() -> None:
    async def act(bench: Bench) -> None:
        await asyncio.sleep(10 * PATIENCE_SECONDS)
        bench.put(1, 2)
        bench.breaker.failed()
        await asyncio.sleep(PATIENCE_SECONDS + SOON_SECONDS)
        bench.put(*range(3, 40))
        await asyncio.sleep(SOON_SECONDS)
        assert bench.spooled == list(range(1, 40))

    beside_the_overflow(act)


def test_what_the_spool_refuses_returns_to_its_place() -> None:
    async def act(bench: Bench) -> None:
        bench.breaker.failed()
        bench.buffer.refused = {2, 5}
        bench.put(1, 2, 3, 4, 5, 6)
        await asyncio.sleep(SOON_SECONDS)
        assert bench.spooled == [1, 3, 4, 6]
        bench.buffer.usable = False
        await asyncio.sleep(SOON_SECONDS)
        assert [(await bench.queue.get()).number for _ in range(2)] == [2, 5]

    beside_the_overflow(act)


def test_an_unusable_spool_leaves_the_queue_as_it_is() -> None:
    async def act(bench: Bench) -> None:
        bench.buffer.usable = False
        bench.put(*range(1, 12))
        await asyncio.sleep(10 * PATIENCE_SECONDS)
        assert (len(bench.queue), bench.queue.full) == (11, True)
        bench.buffer.usable = True
        await asyncio.sleep(SOON_SECONDS)
        assert len(bench.spooled) == 11

    beside_the_overflow(act)


def test_it_is_near_once_batches_wait_long_or_the_queue_is_crowded() -> None:
    async def act(bench: Bench) -> None:
        assert not bench.overflow.near
        bench.put(1)
        assert not bench.overflow.near
        await asyncio.sleep(PATIENCE_SECONDS / 2)
        assert bench.overflow.near
        await bench.write(1)
        assert not bench.overflow.near
        bench.put(*range(2, 8))
        assert bench.overflow.near, "more than half full"
        bench.breaker.failed()
        assert not bench.overflow.near, "there is nobody to give way to"

    beside_the_overflow(act)
