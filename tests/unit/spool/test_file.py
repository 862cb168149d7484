"""The spool's file against a simple model, and damage against its promises."""

import os
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
from penstock.spool import salvage as spool_salvage
from penstock.spool.codec import Record
from penstock.spool.faults import SpoolFault
from penstock.spool.file import SpoolFile
from penstock.spool.salvage import finish_salvage, salvage
from tests.support.batches import batch_of
from tests.support.spooling import batch_in, batches, damage, readable_in, record_of, rows_of

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


def recovered(path: Path) -> list[tuple[int, Batch]]:
    """What the daemon would store of a spool, opened as the daemon opens it."""
    try:
        records = read_all(path)
    except SpoolFault as fault:
        if fault.kind is SpoolFaultKind.FOREIGN:
            return []
        if fault.kind is not SpoolFaultKind.DAMAGED:
            raise
        salvage(path, "now")
        records = read_all(path)
    return list(readable_in(records))


def read_all(path: Path) -> list[Record]:
    file = SpoolFile(path)
    try:
        return file.read(0, EVERYTHING, EVERYTHING)
    finally:
        file.close()


@pytest.mark.parametrize("seed", range(300))
def test_flipped_bits_never_yield_a_wrong_reading(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "spool.db"
    held = filled(path, batches=30)
    randomness = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(randomness.choice((1, 1, 1, 8))):
        # Half of them where SQLite keeps its structure, which is little of the file.
        span = randomness.choice((spool_file.PAGE_BYTES * 3, len(data)))
        data[randomness.randrange(span)] ^= 1 << randomness.randrange(8)
    path.write_bytes(data)
    found = recovered(path)
    assert len({number for number, _ in found}) == len(found)
    for number, batch in found:
        assert rows_of(batch) == rows_of(held[number])


@pytest.mark.parametrize("seed", range(60))
def test_a_truncated_file_never_yields_a_wrong_reading(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_salvage, "FRUITLESS_NUMBERS", 1_000)
    path = tmp_path / "spool.db"
    held = filled(path, batches=60, rows=200)
    os.truncate(path, random.Random(seed).randrange(1, path.stat().st_size))
    for number, batch in recovered(path):
        assert rows_of(batch) == rows_of(held[number])


@pytest.mark.parametrize("seed", range(60))
def test_a_torn_log_never_yields_a_wrong_reading_and_keeps_what_was_before(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "spool.db"
    held = filled(path, batches=5)
    file = SpoolFile(path)
    for number in range(6, 12):
        held[number] = batch_of(rows=300, number=number)
        file.write([record_of(number, held[number])], [])
    torn = tmp_path / "torn.db"
    log = bytearray(Path(f"{path}-wal").read_bytes())
    randomness = random.Random(seed)
    if seed % 2:
        log[randomness.randrange(len(log))] ^= 1 << randomness.randrange(8)
    else:
        del log[randomness.randrange(len(log)) :]
    Path(f"{torn}-wal").write_bytes(log)
    torn.write_bytes(path.read_bytes())
    file.close()
    found = dict(recovered(torn))
    assert set(found) >= {1, 2, 3, 4, 5}
    # What is lost was written after the damage.
    assert sorted(found) == list(range(1, len(found) + 1))
    for number, batch in found.items():
        assert rows_of(batch) == rows_of(held[number])


def test_damage_to_one_batch_loses_only_that_one(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    held = filled(path, batches=20)
    damage(path, "update batches set body = zeroblob(length(body)) where number = 7")
    assert {number for number, _ in recovered(path)} == set(held) - {7}


@pytest.mark.parametrize(
    "sql",
    [
        "update batches set label = x'00' where number = 7",
        "update counts set amount = amount + 1 where name = x'62617463686573'",
        "delete from counts",
    ],
)
def test_damage_to_what_accounts_for_batches_loses_none(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "spool.db"
    held = filled(path, batches=20)
    damage(path, sql)
    with pytest.raises(SpoolFault) as caught:
        read_all(path)
    assert caught.value.kind is SpoolFaultKind.DAMAGED
    salvaged = salvage(path, "now")
    assert (salvaged.batches, salvaged.quarantined) == (20, 0)
    file = SpoolFile(path)
    assert file.standing.batches == 20
    assert sum(file.readings().values()) == sum(batch.rows for batch in held.values())
    assert {n: rows_of(b) for n, b in readable_in(file.read(0, EVERYTHING, EVERYTHING))} == {
        n: rows_of(b) for n, b in held.items()
    }
    file.close()


def test_a_lost_first_page_loses_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    filled(path, batches=20)
    with path.open("r+b") as file:
        file.write(b"\xff" * spool_file.PAGE_BYTES)
    assert len(recovered(path)) == 20
    assert (tmp_path / "spool.db.damaged-now.first-page").stat().st_size == spool_file.PAGE_BYTES


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


def test_a_file_that_cannot_be_read_for_another_reason_is_not_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    filled(path, batches=3)
    holder = SpoolFile(path)
    with pytest.raises(SpoolFault) as caught:
        salvage(path, "now")
    assert caught.value.kind is SpoolFaultKind.LOCKED
    holder.close()
    assert len(read_all(path)) == 3


def test_a_crash_between_salvage_and_its_end_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    filled(tmp_path / "spool.db.salvage", batches=3)
    finish_salvage(path)
    assert len(read_all(path)) == 3
    filled(tmp_path / "spool.db.salvage", batches=2)
    finish_salvage(path)
    assert len(read_all(path)) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["spool.db"]
