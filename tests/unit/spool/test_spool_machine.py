"""Sequences of appended, failed, unknown, replayed, dropped, damaged, closed and crashed.

The spool, its thread, its file and the replayer are the daemon's own. Models are the database and
the faults of the disk. A crash leaves the folder as it is at that moment. Time is virtual, and
stands still while the spool's thread works.

Each batch has a tenant of its own, so that the account says of each where it is.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from penstock.backoff import Backoff
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.observability.ledger import Account
from penstock.observability.metrics import Metrics, SealCause
from penstock.pipeline.accounting import Accounting
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.intake import Sealed
from penstock.pipeline.queue import BatchQueue
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import disk as disk_module
from penstock.spool.file import SpoolFile
from penstock.spool.replayer import Replayer
from penstock.spool.spool import Spool, SpoolFull
from penstock.spool.worker import Worker
from tests.support.batches import dead_letter
from tests.support.clocks import ManualClock
from tests.support.disk import IN_MEMORY
from tests.support.faulty_disk import DiskFault, FaultyDisk, copied
from tests.support.model_database import ModelDatabase, Mood, identity_of, readings_in
from tests.support.readings import Reading, batch
from tests.support.spooling import damage, record_of
from tests.support.virtual_time import VirtualTimeLoop

MAX_BYTES = 1_500
"""Some five batches."""
MAX_AGE_SECONDS = 60.0
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


shapes = st.builds(
    Shape, st.integers(1, 4), st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([0, 0, 1])
)


class SpoolMachine(RuleBasedStateMachine):
    """A spool whose process is killed and started again, on a disk that fails."""

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

    @initialize(
        when_full=st.sampled_from(["block", "drop_oldest"]),
        max_age_seconds=st.sampled_from([None, MAX_AGE_SECONDS]),
    )
    def begin(
        self, when_full: Literal["block", "drop_oldest"], max_age_seconds: float | None
    ) -> None:
        self.when_full, self.max_age_seconds = when_full, max_age_seconds
        self.run(self.start())

    @rule(wanted=st.lists(shapes, min_size=1, max_size=3), again=st.booleans())
    def append(self, wanted: list[Shape], again: bool) -> None:
        """Batches that come together share a commit; some come `again` that were not taken."""
        refused = self.unacknowledged() if again else []
        self.run(self.append_all([*refused, *map(self.make, wanted)]))

    @rule(seconds=st.sampled_from([0.005, 0.3, 1.5, 5.0, MAX_AGE_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(mood=st.sampled_from(Mood), ends_what_is_left=st.booleans())
    def database_becomes(self, mood: Mood, ends_what_is_left: bool) -> None:
        self.database.mood = mood
        self.database.ends_what_is_left = ends_what_is_left

    @rule(fault=st.sampled_from(DiskFault))
    def disk_becomes(self, fault: DiskFault) -> None:
        self.disk.becomes(fault)
        self.faults.add(fault)

    @rule()
    def crash(self) -> None:
        """As kill -9 leaves it."""
        self.run(self.settle())
        after = self.next_folder()
        copied(self.folder, after)
        self.go_on_in(after)

    @rule(shape=shapes, committed=st.booleans())
    def crash_while_appending(self, shape: Shape, committed: bool) -> None:
        """Before the commit, or between the commit and the answer."""
        after = self.next_folder()
        self.disk.copy_before, self.disk.copy_after = (None, after) if committed else (after, None)
        sent, known = self.make(shape), set(self.acknowledged)
        self.run(self.append_all([sent]))
        self.disk.copy_before = self.disk.copy_after = None
        if after.exists():
            # It was killed before anybody heard.
            self.acknowledged = known
        else:
            copied(self.folder, after)
        self.go_on_in(after)

    @rule()
    def close_and_open(self) -> None:
        self.run(self.stop())
        self.run(self.start())

    @rule(position=st.integers(0, 5))
    def rot(self, position: int) -> None:
        """A batch on the disk is damaged while nobody looks."""
        self.run(self.stop())
        file = SpoolFile(self.folder / "spool.db")
        filed = list(file.oldest())
        file.close()
        if filed:
            chosen = filed[position % len(filed)]
            self.damaged |= {(tenant or b"").decode() for tenant, _ in chosen.label.readings}
            damage(
                self.folder / "spool.db",
                f"update batches set body = zeroblob(length(body)) where number = {chosen.number}",
            )
        self.run(self.start())

    @invariant()
    def what_was_acknowledged_is_somewhere(self) -> None:
        for sent in self.sent:
            if sent.tenant in self.acknowledged:
                assert (
                    self.stored(sent)
                    or self.account(sent).spooled
                    or sent.tenant in self.lost | self.damaged
                    or self.account(sent).shed
                    or self.drops_unheard_of
                ), sent.tenant

    @invariant()
    def the_account_balances(self) -> None:
        assert self.metrics.ledger.imbalances() == {}
        for sent in self.sent:
            assert self.account(sent).spooled >= 0
            assert self.account(sent).spooled % sent.batch.rows == 0
            assert self.account(sent).in_flight == sent.batch.rows * (sent.tenant in self.in_flight)

    @invariant()
    def the_account_is_what_the_spool_holds(self) -> None:
        if DiskFault.LYING in self.faults:
            # What was removed by a commit that failed leaves the account when it is asked again.
            return
        standing = self.spool.standing
        held = [(sent, self.account(sent).spooled // sent.batch.rows) for sent in self.sent]
        assert standing.batches == sum(copies for _, copies in held)
        assert standing.rows == sum(sent.batch.rows * copies for sent, copies in held)
        assert standing.size_bytes == sum(sent.size_bytes * copies for sent, copies in held)

    @invariant()
    def only_what_was_damaged_or_dropped_is_lost(self) -> None:
        counts, shed = self.metrics.spool, self.metrics.ledger.totals().shed
        if DiskFault.LYING not in self.faults:
            assert shed == counts.dropped_rows + counts.quarantined_rows
        if self.when_full == "block":
            assert {sent.tenant for sent in self.sent if self.account(sent).shed} <= self.damaged
            assert counts.dropped_batches == 0

    @invariant()
    def the_quota_is_kept(self) -> None:
        if self.faults <= {DiskFault.NONE, DiskFault.FAILING, DiskFault.FULL}:
            standing = self.spool.standing
            read = 2 * MAX_BYTES if self.when_full == "drop_oldest" else 0
            assert standing.batches <= 1 or standing.size_bytes <= MAX_BYTES + read

    @invariant()
    def nothing_is_stored_that_was_not_sent(self) -> None:
        sent: dict[Any, float] = {}
        for one in self.sent:
            sent |= readings_in(one.batch)
        assert self.database.rows.items() <= sent.items()

    @invariant()
    def nothing_is_stored_again_without_a_reason(self) -> None:
        if self.database.failures == 0 and self.lives == 1 and self.faults <= {DiskFault.NONE}:
            assert set(self.database.commits.values()) <= {1}

    @invariant()
    def nothing_ended_by_itself(self) -> None:
        for task in self.tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended")

    def teardown(self) -> None:
        if self.lives:
            if sys.exception() is None:
                self.everything_is_stored_in_the_end()
            self.run(self.stop())
        self.patches.undo()
        structlog.reset_defaults()
        self.loop.close()
        shutil.rmtree(self.folder)

    def everything_is_stored_in_the_end(self) -> None:
        self.database.mood = Mood.WELL
        self.disk.becomes(DiskFault.NONE)
        self.run(self.until_drained())
        totals = self.metrics.ledger.totals()
        assert (totals.spooled, totals.in_flight) == (0, 0)
        for sent in self.sent:
            lost = sent.tenant in self.lost | self.damaged or self.account(sent).shed
            assert self.stored(sent) or lost or self.drops_unheard_of
        assert self.breaker.closed
        assert self.spool.usable

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

    @property
    def drops_unheard_of(self) -> bool:
        """Whether a commit that was said to fail may have made room before the process ended."""
        lied = DiskFault.LYING in self.faults and self.lives > 1
        return lied and self.when_full == "drop_oldest"

    def account(self, sent: Sent) -> Account:
        return self.metrics.ledger.account(sent.tenant)

    def stored(self, sent: Sent) -> bool:
        """Whether all of it is in the database, or in the dead letters for a reason."""
        rows = readings_in(sent.batch)
        well = {row for row, value in rows.items() if value >= 0}
        refused = {(row.key.tenant, row.key.device) for row, value in rows.items() if value < 0}
        letters = {(tenant, device) for tenant, device, _ in self.database.letters}
        own = {identity_of(letter) for letter in sent.batch.dead_letters}
        return (
            well <= self.database.rows.keys()
            and refused <= letters
            and own <= self.database.letters
        )

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
        queue = BatchQueue(max_rows=1, max_bytes=1, on_full=_nothing, on_room=_nothing)
        self.replayer = Replayer(
            self.spool, self.database, self.database.probe, self.breaker, queue,
            self.accounting.replayed, self.metrics, self.clock,
            portion_rows=6, portion_bytes=10**6,
        )  # fmt: skip
        await self.spool.open()
        self.tasks = [
            asyncio.create_task(self.spool.run(), name="spool"),
            asyncio.create_task(self.replayer.run(), name="replayer"),
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


def _nothing() -> None:
    pass


def _drop(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent


SpoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, derandomize=True)
TestSpoolMachine = SpoolMachine.TestCase
