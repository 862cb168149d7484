"""A disk whose calls fail in earnest: strace answers in the kernel's place."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import structlog

from penstock.clock import SystemClock
from penstock.errors import Retryable
from penstock.observability.metrics import SpoolCounts, SpoolFaultKind
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import spool as spool_module
from penstock.spool.file import LOG_BYTES
from penstock.spool.log import log_of
from penstock.spool.spool import Spool
from tests.support.batches import batch_of
from tests.support.disk import limited
from tests.support.polling import until
from tests.support.spooling import Account, batch_in, rows_of
from tests.support.syscalls import SYNCING, WRITING, failing

EVERYTHING = 10**12
BATCH = batch_of(rows=5_000)


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "RETRY_MIN_SECONDS", 0.01)
    monkeypatch.setattr(spool_module, "RETRY_MAX_SECONDS", 0.02)


class Bench:
    """A spool, and what it should hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts = SpoolCounts()
        self.account = Account()
        settings = SpoolSettings(path=str(path))
        self.spool = Spool(settings, self.counts, self.account, SystemClock())
        self.taken = 0

    async def append(self) -> None:
        await self.spool.append(BATCH)
        self.taken += 1

    async def append_until_refused(self) -> None:
        for _ in range(2 * LOG_BYTES // 100_000):
            try:
                await self.append()
            except Retryable:
                return
        pytest.fail("no batch was refused")

    async def check(self) -> None:
        """All that was taken is there, and what else is there is accounted for."""
        records = await self.spool.read(0, EVERYTHING, EVERYTHING)
        assert len(records) >= self.taken
        for record in records:
            assert rows_of(batch_in(record)) == rows_of(BATCH)
        surplus = (len(records) - self.taken) * BATCH.rows
        assert self.account.held.get("t0", 0) == surplus
        assert not self.account.lost


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Bench]:
    bench = Bench(path)
    await bench.spool.open()
    healing = asyncio.create_task(bench.spool.run())
    try:
        yield bench
    finally:
        healing.cancel()
        await asyncio.gather(healing, return_exceptions=True)
        await bench.spool.close()


Fault = Callable[[Path], AbstractContextManager[object]]


def syncs_of_log(path: Path) -> AbstractContextManager[object]:
    return failing(os.getpid(), SYNCING, under=[log_of(path)])


def all_syncs(path: Path) -> AbstractContextManager[object]:
    return failing(os.getpid(), SYNCING, under=[path, log_of(path)])


def writes(path: Path) -> AbstractContextManager[object]:
    return failing(os.getpid(), WRITING, error="EROFS", under=[path, log_of(path)])


def writes_without_room(path: Path) -> AbstractContextManager[object]:
    return failing(os.getpid(), WRITING, error="ENOSPC", under=[path, log_of(path)])


def large_files(path: Path) -> AbstractContextManager[object]:
    return limited(os.getpid(), "RLIMIT_FSIZE", 500_000)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (syncs_of_log, SpoolFaultKind.IO_ERROR),
        (all_syncs, SpoolFaultKind.IO_ERROR),
        (writes, SpoolFaultKind.IO_ERROR),
        (writes_without_room, SpoolFaultKind.DISK_FULL),
        (large_files, SpoolFaultKind.IO_ERROR),
    ],
)
async def test_a_batch_whose_commit_fails_is_refused_and_nothing_else_is_lost(
    tmp_path: Path, fault: Fault, kind: SpoolFaultKind
) -> None:
    path = tmp_path / "spool.db"
    async with opened(path) as bench:
        for _ in range(3):
            await bench.append()
        with structlog.testing.capture_logs() as logged, fault(path):
            await bench.append_until_refused()
            assert bench.counts.faults[kind] >= 1
        assert logged[0]["event"] == "spool_unusable"
        assert logged[0]["fault"] == kind
        await until(lambda: bench.spool.usable, "the spool is usable")
        await bench.append()
        await bench.check()
        records = await bench.spool.read(0, EVERYTHING, EVERYTHING)
    async with opened(path) as again:
        assert [one.number for one in await again.spool.read(0, EVERYTHING, EVERYTHING)] == [
            one.number for one in records
        ]
        assert not any(again.counts.faults.values())


async def test_while_nothing_can_be_synced_it_is_not_called_usable(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    async with opened(path) as bench:
        await bench.append()
        with structlog.testing.capture_logs() as logged, all_syncs(path):
            await bench.append_until_refused()
            await until(lambda: bench.counts.faults[SpoolFaultKind.IO_ERROR] > 5, "tried again")
        assert [line["event"] for line in logged] == ["spool_unusable"]


async def test_a_log_that_cannot_be_copied_into_the_file_refuses_batches(tmp_path: Path) -> None:
    """Else it would grow without end, and nobody would know that the disk fails."""
    path = tmp_path / "spool.db"
    async with opened(path) as bench:
        await bench.append()
        with failing(os.getpid(), SYNCING, under=[path]) as injection:
            await bench.append_until_refused()
            assert injection.count >= 1
            assert bench.counts.faults[SpoolFaultKind.IO_ERROR] >= 1
        await until(lambda: bench.spool.usable, "the spool is usable")
        await bench.check()


async def test_a_log_that_was_left_is_synced_before_anything_is_built_on_it(
    tmp_path: Path,
) -> None:
    """The kernel may show frames that it has given up writing."""
    path, left = tmp_path / "spool.db", tmp_path / "left.db"
    async with opened(path) as bench:
        for _ in range(3):
            await bench.append()
        for killed, copy in ((path, left), (log_of(path), log_of(left))):
            shutil.copy(killed, copy)
    with syncs_of_log(left):
        async with opened(left) as bench:
            assert bench.spool.status.state == "unusable"
            assert bench.spool.standing.batches == 0
    async with opened(left) as bench:
        assert bench.spool.standing.batches == 3


@contextmanager
def another_user() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("needs to be root, to become somebody else")
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_spool_of_another_user_is_said_and_left_alone() -> None:
    # Not in the folder of pytest, which only its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spool.db")
        path.parent.chmod(0o777)
        async with opened(path) as bench:
            await bench.append()
        with another_user():
            async with opened(path) as refused:
                assert refused.spool.status.state == "unusable"
                assert "belong to the user who runs the daemon" in refused.spool.status.detail
                assert refused.counts.faults[SpoolFaultKind.PERMISSION] >= 1
                with pytest.raises(Retryable):
                    await refused.spool.append(BATCH)
        async with opened(path) as again:
            assert again.spool.standing.batches == 1
            assert not any(again.counts.faults.values())
