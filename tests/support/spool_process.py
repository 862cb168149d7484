"""A process with a spool, as state machines start, feed, stop and kill it.

The spool, its thread, its file and the replayer are the daemon's own. Models are the database and
the faults of the disk. Time is virtual, and stands still while the spool's thread works. What
always holds: a batch counts as acknowledged when the spool has said that it is on the disk.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import structlog
from hypothesis.stateful import RuleBasedStateMachine

from penstock.backoff import Backoff
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.observability.ledger import Account
from penstock.observability.metrics import Metrics, SealCause
from penstock.pipeline.accounting import Accounting
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.intake import Sealed
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import disk as disk_module
from penstock.spool.replayer import Replayer
from penstock.spool.spool import Spool, SpoolFull
from penstock.spool.worker import Worker
from tests.support.batches import dead_letter
from tests.support.clocks import ManualClock
from tests.support.disk import IN_MEMORY
from tests.support.faulty_disk import DiskFault, FaultyDisk
from tests.support.model_database import ModelDatabase
from tests.support.readings import Reading, batch
from tests.support.spooling import record_of
from tests.support.virtual_time import VirtualTimeLoop

MAX_BYTES = 1_500
"""Some five batches."""
LONG_SECONDS = 300.0


class Sent(NamedTuple):
    """A batch that is to be spooled."""

    tenant: str
    batch: Batch
    size_bytes: int


class Shape(NamedTuple):
    """How many rows of each kind a batch has."""

    readings: int
    poison: int
    dead_letters: int


class SpoolProcess(RuleBasedStateMachine):
    """The machine without its rules: one process after the other, each on the folder before."""

    when_full: Literal["block", "drop_oldest"]
    max_age_seconds: float | None

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(processors=[_drop])
        self.clock = ManualClock()
        self.jobs = 0
        """Asked of the spool's thread, and not answered."""
        self.closing = False
        self.disk = FaultyDisk()
        self.loop = VirtualTimeLoop(
            self.clock, lambda: self.closing or (self.jobs > 0 and not self.disk.hangs)
        )
        self.disk.loop = self.loop
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(disk_module, "SpoolFile", self.disk.files())
        self.patches.setattr(Worker, "submit", self.watched(Worker.submit))
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-spool-", dir=IN_MEMORY))
        self.database = ModelDatabase()
        self.sent: list[Sent] = []
        self.acknowledged: set[str] = set()
        self.damaged: set[str] = set()
        self.lost: set[str] = set()
        """Dropped or damaged, in a life before this one."""
        self.lives = 0
        self.faults: set[DiskFault] = set()

    async def until_drained(self) -> None:
        async with asyncio.timeout(LONG_SECONDS):
            while self.spool.standing.batches or self.unacknowledged() or not self.spool.usable:
                await self.append_all(self.unacknowledged())
                await asyncio.sleep(1)

    def make(self, shape: Shape) -> Sent:
        number = len(self.sent) + 1
        tenant = f"b{number}"
        made = batch(
            *(
                Reading(
                    ts_us=self.clock.now_us() + row,
                    value=-1.0 if row < shape.poison else float(100 * number + row),
                    device=f"d{row}",
                    tenant=tenant,
                )
                for row in range(shape.readings)
            ),
            dead_letters=[dead_letter(b"?", tenant) for _ in range(shape.dead_letters)],
            received_us=self.clock.now_us(),
        )
        self.sent.append(Sent(tenant, made, record_of(1, made).size_bytes))
        return self.sent[-1]

    def unacknowledged(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.tenant not in self.acknowledged]

    async def append_all(self, wanted: Iterable[Sent]) -> None:
        await asyncio.gather(*map(self.append_one, wanted))
        await self.settle()

    async def append_one(self, sent: Sent) -> None:
        if sent.tenant not in self.in_flight:
            self.in_flight.add(sent.tenant)
            self.accounting.sealed(_sealed(sent.batch))
        try:
            await self.spool.append(sent.batch)
        except SpoolFull:
            if self.when_full == "drop_oldest":
                raise
            return
        except Retryable:
            return
        self.in_flight.remove(sent.tenant)
        self.accounting.spooled(sent.batch)
        self.acknowledged.add(sent.tenant)

    def account(self, sent: Sent) -> Account:
        return self.metrics.ledger.account(sent.tenant)

    async def start(self) -> None:
        self.lives += 1
        self.database.forget_attempts()
        self.in_flight: set[str] = set()
        self.metrics = Metrics(self.clock)
        self.accounting = Accounting(self.metrics, self.clock)
        self.spool = Spool(
            SpoolSettings(
                path=str(self.folder / "spool.db"), max_bytes=MAX_BYTES,
                max_age_seconds=self.max_age_seconds, when_full=self.when_full,
            ),
            self.metrics.spool, self.accounting, self.clock,
        )  # fmt: skip
        self.breaker = Breaker(Backoff(0.5, 4.0, lambda: 0.5), self.clock)
        self.replayer = Replayer(
            self.spool, self.database, self.database.probe, self.breaker,
            Backoff(0.5, 4.0, lambda: 0.5),
            self.accounting.replayed, self.metrics, self.clock,
            portion_rows=6, portion_bytes=10**6,
        )  # fmt: skip
        await self.spool.open()
        self.tasks = [
            asyncio.create_task(self.spool.run(), name="spool"),
            asyncio.create_task(self.replayer.run(lambda: False), name="replayer"),
        ]
        await self.settle()

    async def stop(self) -> None:
        """End the process in order, on a disk that works."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.disk.becomes(DiskFault.NONE)
        await self.settle()
        self.closing = True
        await self.spool.close()
        self.closing = False
        self.lost |= {sent.tenant for sent in self.sent if self.account(sent).shed}

    def go_on_in(self, folder: Path) -> None:
        """What the old process still does, it does in the old folder."""
        self.run(self.stop())
        shutil.rmtree(self.folder)
        self.folder = folder
        self.run(self.start())

    def next_folder(self) -> Path:
        name, _, life = self.folder.name.partition(".")
        return self.folder.with_name(f"{name}.{int(life or 0) + 1}")

    async def settle(self) -> None:
        """Return when the thread has answered, unless it hangs."""
        await asyncio.sleep(0.001)

    def watched(self, submit: Any) -> Any:
        def submit_watched(worker: Worker, job: Any) -> None:
            self.jobs += 1
            job.answer.add_done_callback(self.answered)
            submit(worker, job)

        return submit_watched

    def answered(self, _answer: object) -> None:
        self.jobs -= 1

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)


def _sealed(batch: Batch) -> Sealed:
    return Sealed(
        batch=batch, connection=1, packet_ids=(), empty_messages=0, payload_bytes=0,
        cause=SealCause.ROWS,
    )  # fmt: skip


def _drop(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent
