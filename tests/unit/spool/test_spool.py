"""The spool as the daemon uses it, on a real file."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from penstock.observability.metrics import SpoolCounts, SpoolFaultKind
from penstock.pipeline.accounting import readings_by_tenant
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import spool as spool_module
from penstock.spool.faults import SpoolFault
from penstock.spool.file import SpoolFile
from penstock.spool.spool import Spool, SpoolFull
from tests.support.batches import batch_of
from tests.support.clocks import ManualClock
from tests.support.polling import until
from tests.support.spooling import Account, batch_in, damage, record_of, rows_of

EVERYTHING = 10**12


class Bench:
    """A spool with what it tells and counts."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        self.counts = SpoolCounts()
        self.account = Account()
        self.clock = ManualClock()
        self.spool = Spool(
            SpoolSettings(path=str(path), **settings), self.counts, self.account, self.clock
        )

    async def numbers(self) -> list[int]:
        return [record.number for record in await self.spool.read(0, EVERYTHING, EVERYTHING)]


@asynccontextmanager
async def opened(path: Path, **settings: Any) -> AsyncIterator[Bench]:
    bench = Bench(path, **settings)
    await bench.spool.open()
    heal = asyncio.create_task(bench.spool.run())
    try:
        yield bench
    finally:
        heal.cancel()
        await asyncio.gather(heal, return_exceptions=True)
        await bench.spool.close()


async def test_what_was_appended_is_there_after_a_restart_and_counted(tmp_path: Path) -> None:
    batch = batch_of(rows=10, texts=2, dead_letters=1, tenants=3)
    async with opened(tmp_path / "spool.db") as bench:
        await bench.spool.append(batch)
        assert bench.spool.standing.batches == 1
    async with opened(tmp_path / "spool.db") as bench:
        assert bench.account.held == readings_by_tenant(batch)
        assert bench.spool.standing.rows == 13
        (record,) = await bench.spool.read(0, EVERYTHING, EVERYTHING)
        assert rows_of(batch_in(record)) == rows_of(batch)
        await bench.spool.append(batch)
        await bench.spool.remove([record.number])
        assert await bench.numbers() == [record.number + 1]


async def test_batches_that_come_together_share_a_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool.db") as bench:
        before = bench.counts.commit_seconds.count
        await asyncio.gather(*(bench.spool.append(batch_of(rows=5)) for _ in range(100)))
        assert bench.counts.appended_batches == 100
        # How many there are depends on how quickly the disk syncs.
        assert bench.counts.commit_seconds.count - before <= 50
        assert await bench.numbers() == list(range(1, 101))


async def test_a_full_spool_refuses_until_there_is_room(tmp_path: Path) -> None:
    batch = batch_of(rows=10_000)
    async with opened(tmp_path / "spool.db", max_bytes=1_048_576) as bench:
        with structlog.testing.capture_logs() as logged:
            for _ in range(4):
                await bench.spool.append(batch)
            for _ in range(3):
                with pytest.raises(SpoolFull):
                    await bench.spool.append(batch)
        assert [line["event"] for line in logged] == ["spool_full"]
        assert bench.spool.standing.size_bytes <= bench.spool.max_bytes
        await bench.spool.remove([1])
        await bench.spool.append(batch)
        assert await bench.numbers() == [2, 3, 4, 5]
        assert bench.counts.dropped_batches == 0


async def test_appends_that_come_together_do_not_exceed_the_quota(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool.db", max_bytes=1_048_576) as bench:
        results = await asyncio.gather(
            *(bench.spool.append(batch_of(rows=10_000)) for _ in range(10)), return_exceptions=True
        )
        assert [isinstance(result, SpoolFull) for result in results] == [False] * 4 + [True] * 6
        assert bench.spool.standing.size_bytes <= bench.spool.max_bytes


async def test_an_empty_spool_takes_a_batch_however_large(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool.db", max_bytes=1_048_576) as bench:
        await bench.spool.append(batch_of(rows=1))
        with pytest.raises(SpoolFull):
            await bench.spool.append(batch_of(rows=100_000))
        await bench.spool.remove([1])
        await bench.spool.append(batch_of(rows=100_000))
        assert not bench.spool.usable


async def test_age_fills_a_spool_too(tmp_path: Path) -> None:
    batch = batch_of(rows=1)
    async with opened(tmp_path / "spool.db", max_age_seconds=60) as bench:
        await bench.spool.append(batch)
        assert bench.spool.status.state == "usable"
        bench.clock.advance(61)
        assert (bench.spool.usable, bench.spool.status.state) == (False, "full")
        assert "max_age_seconds" in bench.spool.status.detail
        with pytest.raises(SpoolFull):
            await bench.spool.append(batch)


async def test_the_oldest_are_dropped_where_that_is_wanted_and_said_so(tmp_path: Path) -> None:
    batch = batch_of(rows=10_000, tenants=2)
    async with opened(tmp_path / "spool.db", max_bytes=1_048_576, when_full="drop_oldest") as bench:
        with structlog.testing.capture_logs() as logged:
            for _ in range(6):
                await bench.spool.append(batch)
        assert await bench.numbers() == [3, 4, 5, 6]
        assert [line["event"] for line in logged] == ["spool_dropped_oldest"] * 2
        assert (bench.counts.dropped_batches, bench.counts.dropped_rows) == (2, 20_000)
        assert bench.account.lost == {"t0": 10_000, "t1": 10_000}


async def test_what_the_replayer_has_read_is_not_dropped(tmp_path: Path) -> None:
    batch = batch_of(rows=10_000)
    async with opened(tmp_path / "spool.db", max_bytes=1_048_576, when_full="drop_oldest") as bench:
        for _ in range(4):
            await bench.spool.append(batch)
        assert len(await bench.spool.read(0, 10_000, EVERYTHING)) == 1
        await bench.spool.append(batch)
        assert await bench.numbers() == [1, 3, 4, 5]


async def test_what_is_too_old_is_dropped_where_that_is_wanted(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool.db", max_age_seconds=60, when_full="drop_oldest") as bench:
        await bench.spool.append(batch_of(rows=1))
        bench.clock.advance(61)
        await bench.spool.append(batch_of(rows=2))
        assert bench.counts.dropped_batches >= 1
        assert 1 not in await bench.numbers()


async def test_a_second_program_is_told_who_has_the_spool_and_gets_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "RETRY_MIN_SECONDS", 0.01)
    monkeypatch.setattr(spool_module, "RETRY_MAX_SECONDS", 0.02)
    path = tmp_path / "spool.db"
    async with AsyncExitStack() as first:
        await first.enter_async_context(opened(path))
        async with opened(path) as second:
            assert second.spool.status.state == "unusable"
            assert f"is in use by process {os.getpid()}: end that one" in second.spool.status.detail
            assert second.counts.faults[SpoolFaultKind.LOCKED] >= 1
            with pytest.raises(SpoolFault):
                await second.spool.append(batch_of(rows=1))
            await first.aclose()
            await until(lambda: second.spool.usable, "the spool is usable")
            await second.spool.append(batch_of(rows=1))


async def test_a_folder_that_is_not_there_is_said_and_its_coming_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "RETRY_MIN_SECONDS", 0.01)
    monkeypatch.setattr(spool_module, "RETRY_MAX_SECONDS", 0.02)
    with structlog.testing.capture_logs() as logged:
        async with opened(tmp_path / "later" / "spool.db") as bench:
            assert bench.spool.status.state == "unusable"
            assert "its folder must exist" in bench.spool.status.detail
            with pytest.raises(SpoolFault):
                await bench.spool.append(batch_of(rows=1))
            (tmp_path / "later").mkdir()
            await until(lambda: bench.spool.usable, "the spool is usable")
            await bench.spool.append(batch_of(rows=1))
    errors = [line for line in logged if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["spool_unusable"]
    assert [line["event"] for line in logged if line["log_level"] == "info"] == ["spool_usable"]
    assert bench.counts.faults[SpoolFaultKind.PERMISSION] >= 2


async def test_an_unreadable_batch_is_set_aside_and_accounted_for(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    async with opened(path) as bench:
        for rows in (3, 4, 5):
            await bench.spool.append(batch_of(rows=rows))
    damage(path, "update batches set body = x'0102' where number = 2")
    async with opened(path) as bench:
        records = await bench.spool.read(0, EVERYTHING, EVERYTHING)
        await bench.spool.set_aside(records[1], "its checksum does not fit")
        assert await bench.numbers() == [1, 3]
        assert bench.account.lost == {"t0": 4}
        assert (bench.counts.quarantined_batches, bench.counts.quarantined_rows) == (1, 4)
        assert (tmp_path / "spool.db.quarantine" / "2.batch").read_bytes() == b"\1\2"


async def test_a_damaged_file_is_moved_aside_and_what_is_readable_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    async with opened(path) as bench:
        for rows in (3, 4, 5):
            await bench.spool.append(batch_of(rows=rows))
    damage(path, "delete from counts")
    with structlog.testing.capture_logs() as logged:
        async with opened(path) as bench:
            assert await bench.numbers() == [1, 2, 3]
            assert bench.account.held == {"t0": 12}
            assert bench.counts.salvages == 1
    (line,) = [line for line in logged if line["event"] == "spool_salvaged"]
    assert line["damaged_file"].startswith(f"{path}.damaged-")


async def test_damage_that_shows_while_running_is_salvaged_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "RETRY_MIN_SECONDS", 0.01)
    monkeypatch.setattr(spool_module, "RETRY_MAX_SECONDS", 0.02)
    path = tmp_path / "spool.db"
    file = SpoolFile(path)
    file.write([record_of(number, batch_of(rows=3)) for number in range(1, 6)], [])
    file.close()
    damage(path, "update batches set label = x'00' where number = 3")
    async with opened(path) as bench:
        assert bench.spool.usable
        with pytest.raises(SpoolFault):
            await bench.spool.read(2, EVERYTHING, EVERYTHING)
        assert not bench.spool.usable
        await until(lambda: bench.spool.usable, "the spool is usable")
        assert await bench.numbers() == [1, 2, 3, 4, 5]
        assert bench.account.openings == 2


async def test_a_disk_that_hangs_is_not_waited_for_and_what_it_did_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = SpoolFile.write
    monkeypatch.setattr(spool_module, "RETRY_MIN_SECONDS", 0.01)
    monkeypatch.setattr(spool_module, "RETRY_MAX_SECONDS", 0.02)
    async with opened(tmp_path / "spool.db") as bench:
        monkeypatch.setattr(spool_module, "TIMEOUT_SECONDS", 0.05)
        hang = threading.Event()
        monkeypatch.setattr(
            SpoolFile, "write", lambda *arguments: (hang.wait(), write(*arguments))[1]
        )
        with pytest.raises(SpoolFault) as caught:
            await bench.spool.append(batch_of(rows=3))
        assert caught.value.kind is SpoolFaultKind.HUNG
        assert bench.spool.status.state == "unusable"
        assert bench.account.lost == {}
        hang.set()
        await until(lambda: bench.spool.usable, "the spool is usable")
        assert bench.account.lost == {"t0": -3}
        assert await bench.numbers() == [1]
