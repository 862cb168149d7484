"""The spool's file against a simple model, and damage against its promises."""

import random
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.model import Batch
from penstock.observability.metrics import SpoolFaultKind
from penstock.pipeline.accounting import readings_by_tenant
from penstock.spool import file as spool_file
from penstock.spool.faults import SpoolFault
from penstock.spool.file import SpoolFile
from tests.support.batches import batch_of
from tests.support.spooling import batch_in, batches, record_of, rows_of

EVERYTHING = 10**12


class FileMachine(RuleBasedStateMachine):
    """Writes, removes, reads, closes and crashes, beside a dictionary that cannot fail."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "spool.db"
        self.file = SpoolFile(self.path)
        self.model: dict[int, Batch] = {}
        self.next_number = 1

    def teardown(self) -> None:
        self.file.close()
        self.folder.cleanup()

    @rule(added=st.lists(batches(), max_size=3), data=st.data())
    def write(self, added: list[Batch], data: st.DataObject) -> None:
        removals = data.draw(st.lists(st.sampled_from([*self.model, 999_999]), max_size=3))
        additions = []
        for batch in added:
            additions.append(record_of(self.next_number, batch))
            self.model[self.next_number] = batch
            self.next_number += 1
        self.file.write(additions, removals)
        for number in removals:
            self.model.pop(number, None)

    @rule(batch=batches())
    def fail_to_write(self, batch: Batch) -> None:
        record = record_of(self.next_number, batch)
        with pytest.raises(SpoolFault):
            self.file.write([record, record], list(self.model))
        self.file.abandon()
        self.file = SpoolFile(self.path)

    @rule()
    def close(self) -> None:
        self.file.close()
        self.file = SpoolFile(self.path)

    @rule()
    def crash(self) -> None:
        """Go on with a copy of the files as they are now, as a killed process leaves them."""
        copy = Path(self.folder.name) / f"copy-{self.next_number}-{random.randrange(10**9)}.db"
        for suffix in ("", "-wal"):
            data = Path(f"{self.path}{suffix}").read_bytes()
            Path(f"{copy}{suffix}").write_bytes(data)
        self.file.close()
        self.path = copy
        self.file = SpoolFile(self.path)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def read_some(self, data: st.DataObject) -> None:
        after = data.draw(st.sampled_from([0, *self.model]))
        rows = data.draw(st.integers(1, 10))
        found = [record.number for record in self.file.read(after, rows, EVERYTHING)]
        expected = [number for number in sorted(self.model) if number > after]
        assert found == expected[: len(found)]
        assert bool(found) == bool(expected)
        assert sum(self.model[number].rows for number in found[1:]) <= rows

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        found = {
            record.number: batch_in(record) for record in self.file.read(0, EVERYTHING, EVERYTHING)
        }
        assert {n: rows_of(b) for n, b in found.items()} == {
            n: rows_of(b) for n, b in self.model.items()
        }

    @invariant()
    def it_counts_what_it_holds(self) -> None:
        standing = self.file.standing
        assert standing.batches == len(self.model)
        assert standing.rows == sum(batch.rows for batch in self.model.values())
        oldest = self.model[min(self.model)].first_received_us if self.model else None
        assert standing.oldest_us == oldest
        expected: dict[str | None, int] = {}
        for batch in self.model.values():
            for tenant, readings in readings_by_tenant(batch).items():
                expected[tenant] = expected.get(tenant, 0) + readings
        assert self.file.readings() == expected
        assert self.file.check() == []


TestFile = FileMachine.TestCase
TestFile.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def filled(path: Path, batches: int, rows: int = 40) -> dict[int, Batch]:
    """A closed spool, its log copied into it."""
    held = {
        number: batch_of(rows=rows + number, texts=3, dead_letters=1, tenants=4)
        for number in range(1, batches + 1)
    }
    file = SpoolFile(path)
    file.write([record_of(number, batch) for number, batch in held.items()], [])
    file.close()
    assert not Path(f"{path}-wal").exists()
    return held


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    connection = sqlite3.connect(path)
    connection.execute("create table theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SpoolFault, match="is not a spool") as caught:
        SpoolFile(path)
    assert caught.value.kind is SpoolFaultKind.FOREIGN
    assert path.read_bytes() == before


def test_an_empty_spool_gives_the_disk_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_file, "SLACK_BYTES", 1_000_000)
    path = tmp_path / "spool.db"
    held = filled(path, batches=20, rows=5_000)
    assert path.stat().st_size > 1_000_000
    file = SpoolFile(path)
    file.write([], list(held))
    assert path.stat().st_size < 100_000
    file.close()


def test_only_its_user_may_read_what_is_in_it(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "spool.db")
    file.write([record_of(1, batch_of(rows=1))], [])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    file.close()
    assert set(modes.values()) == {0o600}, modes
