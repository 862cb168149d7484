"""The queue bounds what is in memory and holds the intake back in time."""

import asyncio

from penstock.pipeline.queue import BatchQueue
from tests.support.batches import batch_of


class Gate:
    """Notes what the queue asks of the intake."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def full(self) -> None:
        self.calls.append("full")

    def room(self) -> None:
        self.calls.append("room")


def make_queue(gate: Gate, *, max_rows: int = 10, max_bytes: int = 1_000_000) -> BatchQueue:
    return BatchQueue(max_rows=max_rows, max_bytes=max_bytes, on_full=gate.full, on_room=gate.room)


async def test_batches_leave_in_the_order_in_which_they_came() -> None:
    queue = make_queue(Gate())
    batches = [batch_of(rows=1, number=number) for number in (1, 2, 3)]
    for batch in batches:
        queue.put(batch)
    assert [await queue.get() for _ in batches] == batches


async def test_a_waiting_writer_is_woken_by_a_batch() -> None:
    queue = make_queue(Gate())
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    first, second = batch_of(rows=1, number=1), batch_of(rows=1, number=2)
    queue.put(first)
    queue.put(second)
    assert {batch.number for batch in await asyncio.gather(*waiting)} == {1, 2}


async def test_rows_count_until_they_are_settled_not_until_they_are_taken() -> None:
    gate = Gate()
    queue = make_queue(gate, max_rows=10)
    queue.put(batch_of(rows=6, number=1))
    taken = await queue.get()
    queue.put(batch_of(rows=6, number=2))
    assert gate.calls == ["full"]
    assert queue.rows == 12
    queue.settle(taken)
    assert gate.calls == ["full"], "6 of 10 rows are still held: not yet half"
    queue.settle(await queue.get())
    assert gate.calls == ["full", "room"]
    assert queue.rows == queue.size_bytes == 0


async def test_bytes_are_a_bound_of_their_own() -> None:
    gate = Gate()
    queue = make_queue(gate, max_bytes=100_000)
    queue.put(batch_of(rows=1, number=1, size_bytes=90_000))
    assert gate.calls == []
    queue.put(batch_of(rows=1, number=2, size_bytes=10_000))
    assert gate.calls == ["full"]


async def test_batches_without_content_are_bounded_too() -> None:
    gate = Gate()
    queue = make_queue(gate, max_bytes=100_000)
    for number in range(1, 100):
        queue.put(batch_of(rows=0, number=number, size_bytes=0))
    assert gate.calls == ["full"]


async def test_dead_letters_count_as_rows() -> None:
    gate = Gate()
    queue = make_queue(gate, max_rows=3)
    queue.put(batch_of(rows=0, number=1, dead_letters=3))
    assert gate.calls == ["full"]


async def test_a_full_queue_is_told_once_and_drops_nothing() -> None:
    gate = Gate()
    queue = make_queue(gate, max_rows=1)
    for number in range(1, 6):
        queue.put(batch_of(rows=1, number=number))
    assert gate.calls == ["full"]
    assert [(await queue.get()).number for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_join_waits_for_the_last_batch_in_a_writers_hands() -> None:
    queue = make_queue(Gate())
    queue.put(batch_of(rows=1, number=1))
    taken = await queue.get()
    joined = asyncio.create_task(queue.join())
    await asyncio.sleep(0)
    assert not joined.done()
    queue.settle(taken)
    await joined


async def test_join_of_an_empty_queue_returns_at_once() -> None:
    await make_queue(Gate()).join()
