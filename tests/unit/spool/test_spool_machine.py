"""Sequences of appended, failed, unknown, replayed, dropped, damaged, closed and crashed.

A crash leaves the folder as it is at that moment. Each batch has a tenant of its own, so that the
account says of each where it is.
"""

import asyncio
import shutil
import sys
from typing import Any, Literal

import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from penstock.spool.file import SpoolFile
from tests.support.faulty_disk import DiskFault, copied
from tests.support.model_database import Mood, identity_of, readings_in
from tests.support.spool_process import MAX_BYTES, Sent, Shape, SpoolProcess
from tests.support.spooling import damage

MAX_AGE_SECONDS = 60.0

shapes = st.builds(
    Shape, st.integers(1, 4), st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([0, 0, 1])
)


class SpoolMachine(SpoolProcess):
    """A spool whose process is killed and started again, on a disk that fails."""

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

    @property
    def drops_unheard_of(self) -> bool:
        """Whether a commit that was said to fail may have made room before the process ended."""
        lied = DiskFault.LYING in self.faults and self.lives > 1
        return lied and self.when_full == "drop_oldest"

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


SpoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, derandomize=True)
TestSpoolMachine = SpoolMachine.TestCase
