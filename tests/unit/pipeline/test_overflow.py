"""A crowded queue is relieved by the spool."""

import asyncio
from typing import Self

from penstock.backoff import Backoff
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.pipeline.overflow import Overflow
from penstock.pipeline.queue import BatchQueue
from tests.support.batches import batch_of
from tests.support.polling import until


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
    def __init__(self) -> None:
        self.queue = BatchQueue(
            max_rows=100, max_bytes=10**9, on_full=lambda: None, on_room=lambda: None
        )
        self.buffer = Buffer()
        self.spooled: list[int] = []
        self.overflow = Overflow(
            self.queue,
            self.buffer,
            lambda batch: self.spooled.append(batch.number),
            Backoff(0.001, 0.002, lambda: 0.5),
        )

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.overflow.run())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.put(batch_of(rows=10, number=number))


async def test_a_queue_with_room_is_left_to_the_writers() -> None:
    async with Bench() as bench:
        bench.put(1, 2, 3, 4, 5)
        await asyncio.sleep(0.01)
        assert (bench.spooled, len(bench.queue)) == ([], 5)


async def test_what_waits_in_a_crowded_queue_goes_to_the_spool_the_oldest_first() -> None:
    async with Bench() as bench:
        bench.put(1)
        held = await bench.queue.get()
        bench.put(2, 3, 4, 5, 6)
        await until(lambda: not bench.queue.crowded.is_set(), "the queue has room")
        await until(lambda: bench.spooled == [2, 3, 4, 5, 6], "all that waited is spooled")
        assert bench.queue.unsettled == {1: held}


async def test_what_the_spool_refuses_returns_to_its_place() -> None:
    async with Bench() as bench:
        bench.buffer.refused = {2, 5}
        bench.put(1, 2, 3, 4, 5, 6)
        await until(lambda: bench.spooled == [1, 3, 4, 6], "the others are spooled")
        bench.buffer.usable = False
        await until(lambda: len(bench.queue) == 2, "both are back")
        assert [(await bench.queue.get()).number for _ in range(2)] == [2, 5]


async def test_an_unusable_spool_leaves_the_queue_as_it_is() -> None:
    async with Bench() as bench:
        bench.buffer.usable = False
        bench.put(*range(1, 12))
        await asyncio.sleep(0.01)
        assert (len(bench.queue), bench.queue.full) == (11, True)
        bench.buffer.usable = True
        await until(lambda: len(bench.spooled) == 11, "all are spooled once it works")
