"""The replayer drains a real spool into a database that does as it is told."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from penstock.backoff import Backoff
from penstock.clock import SystemClock
from penstock.errors import PoisonError, Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, Retry, SpoolFaultKind
from penstock.pipeline.accounting import Accounting, readings_by_tenant
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.store import Stored
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import replayer as replayer_module
from penstock.spool.faults import SpoolFault
from penstock.spool.replayer import Replayer
from penstock.spool.spool import Spool
from tests.support.batches import batch_of
from tests.support.polling import until
from tests.support.spooling import damage


class Database:
    """Keeps what it is given, each reading once; a script says what goes wrong before or after."""

    def __init__(self) -> None:
        self.rows: set[tuple[object, ...]] = set()
        self.before: deque[Exception | None] = deque()
        self.after: deque[Exception | None] = deque()
        self.up = True
        self.poison: float | None = None
        self.commit_seconds = 0.0
        """How long each takes."""
        self.committed_seconds: list[float] = []
        """When each was done."""
        self.begun_seconds: list[float] = []
        """When each attempt began."""
        self.on_commit: Callable[[], None] = lambda: None

    async def probe(self) -> bool:
        return self.up

    @property
    def commits(self) -> int:
        return len(self.committed_seconds)

    async def store(self, batch: Batch) -> Stored:
        self.begun_seconds.append(time.monotonic())
        await asyncio.sleep(self.commit_seconds)
        error = self.before.popleft() if self.before else None
        if error is not None or not self.up:
            raise error or Retryable("down")
        if self.poison is not None and self.poison in batch.numbers.value:
            raise PoisonError("22003", "out of range")
        keys = batch.index.keys
        inserted: Counter[str] = Counter()
        duplicates: Counter[str] = Counter()
        columns = zip(
            batch.numbers.series.tolist(),
            batch.numbers.ts_us.tolist(),
            batch.numbers.value.tolist(),
            strict=True,
        )
        for series, ts_us, value in columns:
            row = (keys[series], ts_us, value)
            (duplicates if row in self.rows else inserted)[keys[series].tenant] += 1
            self.rows.add(row)
        self.committed_seconds.append(time.monotonic())
        self.on_commit()
        error = self.after.popleft() if self.after else None
        if error is not None:
            raise error
        return Stored(dict(inserted), dict(duplicates))


class Bench:
    """A spool, a database, and the replayer between them."""

    def __init__(
        self, path: Path, *, portion_rows: int = 100, retry_max_seconds: float = 0.002
    ) -> None:
        clock = SystemClock()
        self.metrics = Metrics(clock)
        accounting = Accounting(self.metrics, clock)
        settings = SpoolSettings(path=str(path))
        self.spool = Spool(settings, self.metrics.spool, accounting, clock)
        self.database = Database()
        self.breaker = Breaker(Backoff(0.001, 0.002, lambda: 0.5), clock)
        self.replayer = Replayer(
            self.spool, self.database, self.database.probe, self.breaker,
            Backoff(0.001, retry_max_seconds, lambda: 0.5),
            accounting.replayed, self.metrics, clock,
            portion_rows=portion_rows, portion_bytes=10**6,
        )  # fmt: skip
        self.accounting = accounting

    async def fill(self, batches: Sequence[Batch]) -> None:
        """Append batches as the flow does."""
        for batch in batches:
            await self.spool.append(batch)
            for tenant, readings in readings_by_tenant(batch).items():
                account = self.metrics.ledger.account(tenant)
                account.received += readings
                account.spooled += readings

    async def until_drained(self) -> None:
        await until(
            lambda: not self.spool.standing.batches and self.metrics.ledger.totals().spooled == 0,
            "the spool is empty",
        )
        assert self.metrics.ledger.imbalances() == {}


@asynccontextmanager
async def running(
    path: Path,
    *,
    in_the_way: bool = False,
    portion_rows: int = 100,
    retry_max_seconds: float = 0.002,
) -> AsyncIterator[Bench]:
    bench = Bench(path, portion_rows=portion_rows, retry_max_seconds=retry_max_seconds)
    await bench.spool.open()
    tasks = [
        asyncio.create_task(bench.spool.run()),
        asyncio.create_task(bench.replayer.run(lambda: in_the_way)),
    ]
    try:
        yield bench
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await bench.spool.close()
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


@asynccontextmanager
async def others_succeeding(bench: Bench) -> AsyncIterator[None]:
    async def succeed() -> None:
        while True:
            bench.breaker.succeeded()
            await asyncio.sleep(0)

    others = asyncio.create_task(succeed())
    try:
        yield
    finally:
        others.cancel()


def batches(count: int, rows: int = 10) -> list[Batch]:
    """Batches that share no reading."""
    found = []
    for number in range(count):
        batch = batch_of(rows=rows, tenants=2, number=number + 1)
        batch.numbers.ts_us[:] += number * 1_000_000
        found.append(batch)
    return found


async def test_everything_is_stored_and_leaves_the_spool(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as bench:
        await bench.fill(batches(50))
        await bench.until_drained()
        assert len(bench.database.rows) == 500
        totals = bench.metrics.ledger.totals()
        assert (totals.received, totals.stored, totals.duplicate) == (500, 500, 0)
        assert bench.metrics.spool.replayed_batches == 50
        assert bench.metrics.spool.replayed_rows == 500


async def test_small_batches_are_stored_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "spool.db")
    await bench.spool.open()
    await bench.fill(batches(50))
    await bench.spool.close()
    async with running(tmp_path / "spool.db") as bench:
        await bench.until_drained()
        assert bench.database.commits == 5


async def test_an_outage_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as bench:
        bench.database.up = False
        bench.breaker.failed()
        await bench.fill(batches(20))
        await asyncio.sleep(0.05)
        assert bench.spool.standing.batches == 20
        assert not bench.breaker.closed
        bench.database.up = True
        await bench.until_drained()
        assert bench.breaker.closed


async def test_an_unknown_outcome_is_replayed_and_absorbed(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as bench:
        bench.database.after.extend([None, Retryable("the connection was lost"), None])
        await bench.fill(batches(40))
        await bench.until_drained()
        totals = bench.metrics.ledger.totals()
        assert len(bench.database.rows) == totals.stored + totals.duplicate == 400
        assert totals.duplicate > 0
        assert bench.metrics.retries[Retry.REPLAY] == 1


async def test_a_poison_reading_becomes_a_dead_letter(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db") as bench:
        bench.database.poison = 7.0
        await bench.fill(batches(3))
        await bench.until_drained()
        totals = bench.metrics.ledger.totals()
        assert (totals.stored, totals.dead_lettered) == (27, 3)


async def test_a_damaged_batch_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    bench = Bench(path)
    await bench.spool.open()
    await bench.fill(batches(30))
    await bench.spool.close()
    damage(path, "update batches set body = zeroblob(length(body)) where number in (1, 15, 30)")
    async with running(path) as bench:
        await bench.until_drained()
        totals = bench.metrics.ledger.totals()
        assert (totals.received, totals.stored, totals.shed) == (300, 270, 30)
        assert bench.metrics.spool.quarantined_batches == 3


async def test_a_record_leaves_the_spool_only_after_its_commit(tmp_path: Path) -> None:
    """At each commit, what is being committed must still be in the spool."""
    path = tmp_path / "spool.db"
    async with running(path, portion_rows=10) as bench:
        appended = batches(30)
        missing: list[int] = []

        def look() -> None:
            gone = len(appended) - bench.spool.standing.batches
            if gone >= bench.database.commits:
                missing.append(gone)

        bench.database.up = False
        bench.breaker.failed()
        await bench.fill(appended)
        bench.database.on_commit = look
        bench.database.up = True
        await bench.until_drained()
        assert missing == []


async def test_what_is_committed_leaves_the_spool_before_it_is_closed(tmp_path: Path) -> None:
    """Else it is stored again after the next start, and a dead letter is double then."""
    path = tmp_path / "spool.db"
    async with running(path, portion_rows=10) as bench:
        enough = asyncio.Event()

        def look() -> None:
            if bench.database.commits == 7:
                enough.set()

        bench.database.on_commit = look
        await bench.fill(batches(30))
        await enough.wait()
    async with running(path, portion_rows=10) as bench:
        await bench.until_drained()
        totals = bench.metrics.ledger.totals()
        assert 0 < totals.received <= 300 - 7 * 10
        assert totals.duplicate == 0


async def test_a_database_that_answers_and_refuses_fills_no_memory(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db", portion_rows=10) as bench:
        bench.database.before.extend([Retryable("permission denied")] * 10_000)
        await bench.fill(batches(40))
        await until(lambda: bench.metrics.retries[Retry.REPLAY] >= 20, "it was refused for long")
        assert len(bench.replayer._loaded) <= 2
        bench.database.before.clear()
        await bench.until_drained()


async def test_a_spool_that_cannot_remove_is_not_replayed_over_and_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replayer_module, "IDLE_SECONDS", 0.001)
    async with running(tmp_path / "spool.db", portion_rows=10) as bench:
        remove = bench.spool.remove
        refusals = iter(range(20))

        async def remove_sometimes(numbers: Sequence[int]) -> None:
            if next(refusals, None) is not None:
                raise SpoolFault(SpoolFaultKind.DISK_FULL, "full")
            await remove(numbers)

        monkeypatch.setattr(bench.spool, "remove", remove_sometimes)
        await bench.fill(batches(20))
        await bench.until_drained()
        assert bench.database.commits == 20
        assert bench.metrics.ledger.totals().duplicate == 0


async def test_one_who_is_in_the_way_rests_longer_than_it_works_and_goes_on(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "spool.db", portion_rows=10, in_the_way=True) as bench:
        bench.database.commit_seconds = 0.02
        await bench.fill(batches(10))
        await bench.until_drained()
        moments = bench.database.committed_seconds
        rests = [after - before - 0.02 for before, after in pairwise(moments)]
        assert len(rests) == 9
        assert min(rests) >= 2 * 0.02, "it rests three times as long as it worked"


async def test_one_who_is_in_the_way_and_fails_rests_as_long(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db", portion_rows=10, in_the_way=True) as bench:
        bench.database.commit_seconds = 0.02
        bench.database.before.extend([Retryable("a lock is not to be had")] * 5)
        async with others_succeeding(bench):
            await bench.fill(batches(1))
            await bench.until_drained()
        pauses = [after - before for before, after in pairwise(bench.database.begun_seconds)]
        assert len(pauses) == 5
        assert min(pauses) >= 3 * 0.02, "the attempt, and most of three times as long"


async def test_after_a_failure_it_waits_ever_longer_though_others_succeed(tmp_path: Path) -> None:
    async with running(tmp_path / "spool.db", portion_rows=10, retry_max_seconds=0.2) as bench:
        bench.database.before.extend([Retryable("a lock is not to be had")] * 8)
        async with others_succeeding(bench):
            await bench.fill(batches(1))
            await bench.until_drained()
        pauses = [after - before for before, after in pairwise(bench.database.begun_seconds)]
        assert len(pauses) == 8
        assert pauses[-1] >= 0.09, "half of 0.2 s, and not the breaker's 0.002 s"


async def test_what_is_committed_leaves_the_spool_before_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replayer_module, "REST", 1e9)
    async with running(tmp_path / "spool.db", portion_rows=10, in_the_way=True) as bench:
        await bench.fill(batches(3))
        await until(lambda: bench.spool.standing.batches == 2, "the first is removed")
        assert bench.database.commits == 1


async def test_a_rest_ends_when_the_database_fails_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replayer_module, "REST", 1e9)
    monkeypatch.setattr(replayer_module, "LOOK_SECONDS", 0.001)
    async with running(tmp_path / "spool.db", portion_rows=10, in_the_way=True) as bench:
        await bench.fill(batches(2))
        await until(lambda: bench.spool.standing.batches == 1, "it rests after the first")
        bench.breaker.failed()
        await until(lambda: bench.database.commits == 2, "it tries the database")


async def test_with_nothing_to_try_it_with_a_sign_of_life_closes_the_breaker(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "spool.db") as bench:
        bench.breaker.failed()
        await until(lambda: bench.breaker.closed, "the breaker is closed")
