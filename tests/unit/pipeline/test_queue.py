"""The queue bounds what is in memory and holds the intake back in time."""

import asyncio

from penstock.pipeline.queue import BatchQueue
from tests.support.batches import batch_of
from tests.support.clocks import ManualClock

CLOCK = ManualClock()


class Gate:
    """Notes what the queue asks of the intake."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def full(self) -> None:
        self.calls.append("full")

    def room(self) -> None:
        self.calls.append("room")


def make_queue(gate: Gate, *, max_rows: int = 10, max_bytes: int = 1_000_000) -> BatchQueue:
    return BatchQueue(
        max_rows=max_rows, max_bytes=max_bytes, on_full=gate.full, on_room=gate.room, clock=CLOCK
    )


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


async def test_those_that_have_waited_long_are_taken_the_oldest_first() -> None:
    queue = make_queue(Gate())
    assert (queue.waited_seconds, queue.take(9, 0.0)) == (0.0, [])
    for number in (1, 2, 3, 4):
        queue.put(batch_of(rows=1, number=number))
        CLOCK.advance(1.0)
    await queue.get()
    assert queue.waited_seconds == 3.0
    assert [batch.number for batch in queue.take(9, 2.0)] == [2, 3]
    assert queue.waited_seconds == 1.0
    assert queue.take(9, 1.5) == []
    assert [batch.number for batch in queue.take(9, 0.0)] == [4]


async def test_what_is_given_back_has_its_place_and_its_age() -> None:
    queue = make_queue(Gate())
    for number in (1, 2, 3):
        queue.put(batch_of(rows=1, number=number))
    taken = queue.take(2, 0.0)
    CLOCK.advance(5.0)
    queue.give_back(taken)
    assert queue.waited_seconds == 5.0
    assert [(await queue.get()).number for _ in range(3)] == [1, 2, 3]


async def test_it_is_crowded_while_batches_wait_in_more_than_half_of_a_bound() -> None:
    queue = make_queue(Gate(), max_rows=10)
    queue.put(batch_of(rows=5, number=1))
    assert not queue.crowded
    queue.put(batch_of(rows=1, number=2))
    assert queue.crowded
    taken = [await queue.get(), await queue.get()]
    assert not queue.crowded, "nothing waits"
    queue.put(batch_of(rows=1, number=3))
    assert queue.crowded
    for batch in taken:
        queue.settle(batch)
    assert not queue.crowded


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
