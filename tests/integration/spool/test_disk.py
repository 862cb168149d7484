"""A disk that is really full, or read-only: a small file system in memory."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from penstock.clock import SystemClock
from penstock.errors import Retryable
from penstock.observability.metrics import SpoolCounts, SpoolFaultKind
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import spool as spool_module
from penstock.spool.spool import Spool
from tests.support.batches import batch_of
from tests.support.disk import SmallDisk, small_disk
from tests.support.polling import until
from tests.support.spooling import Account, batch_in, rows_of

EVERYTHING = 10**12
BATCH = batch_of(rows=5_000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 64) as disk:
        yield disk


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "RETRY_MIN_SECONDS", 0.01)
    monkeypatch.setattr(spool_module, "RETRY_MAX_SECONDS", 0.02)


def make_spool(folder: Path) -> tuple[Spool, SpoolCounts, Account]:
    counts, account = SpoolCounts(), Account()
    settings = SpoolSettings(path=str(folder / "spool.db"))
    return Spool(settings, counts, account, SystemClock()), counts, account


async def fill(spool: Spool) -> int:
    """Append until the disk is full; how many batches were taken."""
    for taken in range(10_000):
        try:
            await spool.append(BATCH)
        except Retryable:
            return taken
    raise AssertionError


async def test_a_full_disk_refuses_keeps_what_it_has_and_can_be_drained(disk: SmallDisk) -> None:
    spool, counts, _ = make_spool(disk.folder)
    await spool.open()
    with structlog.testing.capture_logs() as logged:
        taken = await fill(spool)
    assert taken > 100
    (line,) = [line for line in logged if line["event"] == "spool_unusable"]
    assert line["fault"] == SpoolFaultKind.DISK_FULL
    assert "free space on it" in line["error"]
    assert spool.status.state == "unusable"
    assert counts.faults[SpoolFaultKind.DISK_FULL] == 1

    healing = asyncio.create_task(spool.run())
    after = drained = 0
    while records := await spool.read(after, 5_000, EVERYTHING):
        for record in records:
            assert rows_of(batch_in(record)) == rows_of(BATCH)
        await spool.remove([record.number for record in records])
        after, drained = records[-1].number, drained + len(records)
    assert drained == taken
    await until(lambda: spool.usable, "an empty spool has given its disk back")
    await spool.append(BATCH)
    healing.cancel()
    await asyncio.gather(healing, return_exceptions=True)
    await spool.close()


async def test_a_spool_goes_on_as_soon_as_the_disk_has_room_again(disk: SmallDisk) -> None:
    disk.fill(leave_bytes=30_000_000)
    spool, _, _ = make_spool(disk.folder)
    await spool.open()
    taken = await fill(spool)
    healing = asyncio.create_task(spool.run())
    disk.free()
    await until(lambda: spool.usable, "the spool is usable again")
    await spool.append(BATCH)
    assert spool.standing.batches == taken + 1
    healing.cancel()
    await asyncio.gather(healing, return_exceptions=True)
    await spool.close()


async def test_a_spool_on_a_full_disk_outlasts_a_restart(disk: SmallDisk) -> None:
    spool, _, _ = make_spool(disk.folder)
    await spool.open()
    taken = await fill(spool)
    await spool.close()
    disk.fill(leave_bytes=max(0, disk.free_bytes - 4_000_000))
    spool, _, account = make_spool(disk.folder)
    await spool.open()
    assert (spool.standing.batches, spool.status.state) == (taken, "unusable")
    assert account.held == {"t0": 5_000 * taken}
    records = await spool.read(0, 5_000, EVERYTHING)
    await spool.remove([record.number for record in records])
    assert spool.standing.batches == taken - 1
    await spool.close()


async def test_a_read_only_disk_is_said_and_heals(disk: SmallDisk) -> None:
    disk.make_read_only()
    spool, counts, _ = make_spool(disk.folder)
    await spool.open()
    assert spool.status.state == "unusable"
    assert "mount its disk read-write" in spool.status.detail
    with pytest.raises(Retryable):
        await spool.append(BATCH)
    assert counts.faults[SpoolFaultKind.READ_ONLY] >= 1
    healing = asyncio.create_task(spool.run())
    disk.make_writable()
    await until(lambda: spool.usable, "the spool is usable")
    await spool.append(BATCH)
    healing.cancel()
    await asyncio.gather(healing, return_exceptions=True)
    await spool.close()
