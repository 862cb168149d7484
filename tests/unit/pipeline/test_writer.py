"""A writer stores every batch until it is stored."""

import asyncio
from collections import deque

from penstock.backoff import Backoff
from penstock.clock import SystemClock
from penstock.errors import PoisonError, Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, Retry
from penstock.pipeline.bisect import Outcome
from penstock.pipeline.queue import BatchQueue
from penstock.pipeline.store import Stored
from penstock.pipeline.writer import Writer
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


class Bench:
    """A writer with its queue, its store and what it reported."""

    def __init__(self, store: ScriptedStore) -> None:
        self.metrics = Metrics(SystemClock())
        self.queue = BatchQueue(
            max_rows=1_000, max_bytes=1_000_000, on_full=lambda: None, on_room=lambda: None
        )
        self.reports: list[tuple[int, Outcome]] = []
        self.writer = Writer(
            "w",
            self.queue,
            store,
            lambda batch, outcome, _: self.reports.append((batch.number, outcome)),
            Backoff(0.001, 0.002, lambda: 0.5),
            self.metrics,
            SystemClock(),
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
