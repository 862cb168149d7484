"""A writer stores every batch until it is stored."""

import asyncio
from collections import deque

from penstock.backoff import Backoff
from penstock.clock import SystemClock
from penstock.errors import PoisonError, Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, Retry
from penstock.pipeline.bisect import Outcome
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.buffer import Buffer, NoBuffer
from penstock.pipeline.queue import BatchQueue
from penstock.pipeline.store import Store, Stored
from penstock.pipeline.writer import Reports, Writer
from tests.support.batches import batch_of


class ScriptedStore:
    """Answers each attempt with its script's next error; stores when that is None or over."""

    def __init__(self, *script: Exception | None) -> None:
        self._script = deque(script)
        self.stored: list[Batch] = []

    async def store(self, batch: Batch) -> Stored:
        error = self._script.popleft() if self._script else None
        if error is not None:
            raise error
        self.stored.append(batch)
        return Stored({"t0": batch.readings}, {})


class ScriptedBuffer:
    """Refuses with its script's next error; takes when that is None or over."""

    def __init__(self, *script: Exception | None) -> None:
        self._script = deque(script)
        self.usable = True
        self.taken: list[Batch] = []

    async def append(self, batch: Batch) -> None:
        error = self._script.popleft() if self._script else None
        if error is not None:
            raise error
        self.taken.append(batch)


class SilentStore:
    """A database behind a black hole."""

    async def store(self, _batch: Batch) -> Stored:
        await asyncio.Event().wait()
        raise AssertionError


class Bench:
    """A writer with its queue, its store and what it reported."""

    def __init__(self, store: Store, buffer: Buffer | None = None) -> None:
        buffer = buffer or NoBuffer()
        self.metrics = Metrics(SystemClock())
        self.queue = BatchQueue(
            max_rows=1_000, max_bytes=1_000_000, on_full=lambda: None, on_room=lambda: None,
            clock=SystemClock(),
        )  # fmt: skip
        self.reports: list[tuple[int, Outcome]] = []
        self.spooled: list[int] = []
        self.breaker = Breaker(Backoff(60, 60, lambda: 0.5), SystemClock())
        self.writer = Writer(
            "w",
            self.queue,
            store,
            buffer,
            Reports(
                lambda batch, outcome, _: self.reports.append((batch.number, outcome)),
                lambda batch: self.spooled.append(batch.number),
            ),
            breaker=self.breaker,
            backoff=Backoff(0.001, 0.002, lambda: 0.5),
            metrics=self.metrics,
            clock=SystemClock(),
            patience_seconds=0.05,
        )

    async def write(self, *batches: Batch) -> None:
        task = asyncio.create_task(self.writer.run())
        for batch in batches:
            self.queue.put(batch)
        await self.queue.join()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_batch_is_reported_once_it_is_stored() -> None:
    store = ScriptedStore()
    bench = Bench(store)
    batch = batch_of(rows=3, dead_letters=1)
    await bench.write(batch)
    assert store.stored == [batch]
    ((number, outcome),) = bench.reports
    assert number == 1
    assert (outcome.inserted, list(outcome.dead_letters)) == ({"t0": 3}, batch.dead_letters)


async def test_an_unwell_database_is_tried_again_until_it_answers() -> None:
    store = ScriptedStore(Retryable("down"), Retryable("still down"), None)
    bench = Bench(store)
    await bench.write(batch_of(rows=1, number=1), batch_of(rows=1, number=2))
    assert [batch.number for batch in store.stored] == [1, 2]
    assert [number for number, _ in bench.reports] == [1, 2]
    assert bench.metrics.retries[Retry.STORE] == 2


async def test_a_batch_is_not_reported_while_the_database_is_unwell() -> None:
    bench = Bench(ScriptedStore(*[Retryable("down")] * 1_000_000))
    task = asyncio.create_task(bench.writer.run())
    bench.queue.put(batch_of(rows=1))
    while bench.metrics.retries[Retry.STORE] < 5:  # noqa: ASYNC110 - a plain counter
        await asyncio.sleep(0)
    assert bench.reports == []
    assert bench.queue.rows == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_fault_in_the_middle_of_a_bisection_is_waited_for() -> None:
    poison = PoisonError("22003", "out of range")
    # Whole batch; first row, once unwell and then refused; second row.
    store = ScriptedStore(poison, Retryable("down"), poison, None)
    bench = Bench(store)
    await bench.write(batch_of(rows=2))
    ((_, outcome),) = bench.reports
    assert outcome.inserted == {"t0": 1}
    assert [letter.sqlstate for letter in outcome.dead_letters] == ["22003"]
    assert bench.metrics.storage.bisections == 1


async def test_a_batch_that_the_database_does_not_take_goes_to_the_spool() -> None:
    store, buffer = ScriptedStore(Retryable("down")), ScriptedBuffer()
    bench = Bench(store, buffer)
    await bench.write(batch_of(rows=3))
    assert [batch.number for batch in buffer.taken] == bench.spooled == [1]
    assert (bench.reports, store.stored) == ([], [])
    assert not bench.breaker.closed


async def test_while_the_breaker_is_open_the_database_is_not_asked() -> None:
    store, buffer = ScriptedStore(Retryable("down")), ScriptedBuffer()
    bench = Bench(store, buffer)
    await bench.write(*(batch_of(rows=1, number=number) for number in (1, 2, 3)))
    assert bench.spooled == [1, 2, 3]
    assert store.stored == []
    bench.breaker.succeeded()
    await bench.write(batch_of(rows=1, number=4))
    assert [batch.number for batch in store.stored] == [4]


async def test_a_database_that_does_not_answer_is_not_waited_for_where_there_is_a_spool() -> None:
    buffer = ScriptedBuffer()
    bench = Bench(SilentStore(), buffer)
    await bench.write(batch_of(rows=1))
    assert bench.spooled == [1]
    assert bench.metrics.retries[Retry.STORE] == 1


async def test_a_spool_that_refuses_leaves_the_batch_to_the_database() -> None:
    store = ScriptedStore(Retryable("down"))
    buffer = ScriptedBuffer(Retryable("disk full"))
    bench = Bench(store, buffer)
    task = asyncio.create_task(bench.writer.run())
    bench.queue.put(batch_of(rows=1))
    while not bench.metrics.retries[Retry.STORE]:  # noqa: ASYNC110 - a plain counter
        await asyncio.sleep(0)
    buffer.usable = False
    await bench.queue.join()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (bench.spooled, [number for number, _ in bench.reports]) == ([], [1])
    assert bench.breaker.closed


async def test_a_fault_in_the_middle_of_a_bisection_sends_the_whole_batch_to_the_spool() -> None:
    poison = PoisonError("22003", "out of range")
    store, buffer = ScriptedStore(poison, None, Retryable("down")), ScriptedBuffer()
    bench = Bench(store, buffer)
    batch = batch_of(rows=4)
    await bench.write(batch)
    assert buffer.taken == [batch]
    assert bench.reports == []


async def test_dead_letters_that_are_refused_go_to_the_spool() -> None:
    poison = PoisonError("22003", "out of range")
    # The whole batch, then its dead letter alone.
    store, buffer = ScriptedStore(poison, poison), ScriptedBuffer()
    bench = Bench(store, buffer)
    await bench.write(batch_of(rows=1))
    assert bench.spooled == [1]
    assert not bench.breaker.closed
