"""Damage to the files of a spool costs what it touched, and all of that is noticed."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from penstock.clock import SystemClock
from penstock.model import Batch
from penstock.observability.metrics import SpoolFaultKind
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool import salvage as salvage_module
from penstock.spool.database import PAGE_BYTES
from penstock.spool.disk import Disk
from penstock.spool.faults import SpoolFault
from penstock.spool.file import SpoolFile
from penstock.spool.jobs import Event, Lost, Opened
from penstock.spool.log import log_of
from penstock.spool.mark import mark_of
from penstock.spool.quarantine import sync_folder
from penstock.spool.quota import Quota
from tests.support.batches import batch_of
from tests.support.damage import files_of_spool, flip_bits, truncate
from tests.support.spooling import damage, readable_in, record_of, rows_of

EVERYTHING = 10**12
BATCHES = 60
LARGEST_ON_A_PAGE = 6
"""So many of the batches below have their beginning on one page."""
FILES = ("spool.db", "spool.db-wal", "spool.db.mark")


def disk_of(path: Path, events: list[Event]) -> Disk:
    return Disk(path, Quota(SpoolSettings()), SystemClock(), events.append)


def batch(number: int) -> Batch:
    rows = 100 + 13 * number if number % 3 else 1_500
    return batch_of(rows=rows, texts=3, dead_letters=1, tenants=4, number=number)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a spool whose daemon was killed: half of its batches are in the log alone."""
    folder = tmp_path_factory.mktemp("killed")
    live = folder / "live" / "spool.db"
    live.parent.mkdir()
    disk = disk_of(live, [])
    disk.write([record_of(number, batch(number)) for number in range(1, BATCHES // 2)], [])
    disk.close()
    disk = disk_of(live, [])
    for number in range(BATCHES // 2, BATCHES + 11):
        disk.write([record_of(number, batch(number))], [])
    for number in range(1, 11):
        disk.write([], [number])
    for name in FILES:
        shutil.copy(live.with_name(name), folder / name)
    disk.close()
    assert log_of(folder / "spool.db").stat().st_size > BATCHES // 2 * PAGE_BYTES
    return folder


@pytest.fixture
def spool(tmp_path: Path, killed: Path) -> Path:
    """A spool of the batches 11 to 70 that nobody has open."""
    for name in FILES:
        shutil.copy(killed / name, tmp_path / name)
    return tmp_path / "spool.db"


class Drained(NamedTuple):
    """What came out of a spool."""

    found: dict[int, Batch]
    unreadable: set[int]
    lost_batches: int
    salvages: int


def drained(spool: Path) -> Drained:
    """Take everything out, as the daemon does."""
    events: list[Event] = []
    disk = disk_of(spool, events)
    found: dict[int, Batch] = {}
    unreadable: set[int] = set()
    for _ in range(20):
        try:
            while records := disk.read(0, 2_000, EVERYTHING):
                readable = dict(readable_in(records))
                found |= readable
                unreadable |= {record.number for record in records} - set(readable)
                disk.write([], [record.number for record in records])
            break
        except SpoolFault as fault:
            if fault.kind is not SpoolFaultKind.DAMAGED:
                raise
            disk.failed(fault)
    else:
        pytest.fail("it is damaged over and over")
    disk.close()
    opened = [event for event in events if isinstance(event, Opened)]
    return Drained(
        found,
        unreadable - set(found),
        sum(event.lost.batches for event in opened if event.lost),
        sum(event.salvaged is not None for event in opened),
    )


def check(result: Drained) -> int:
    """See that nothing is wrong in what was found, and all else counted; returns how much else."""
    for number, one in result.found.items():
        assert rows_of(one) == rows_of(batch(number)), number
    missing = set(range(11, BATCHES + 11)) - set(result.found)
    assert len(missing) == len(result.unreadable & missing) + result.lost_batches
    return len(missing)


def test_a_killed_spool_has_everything(spool: Path) -> None:
    result = drained(spool)
    assert check(result) == result.salvages == 0
    assert set(result.found) == set(range(11, BATCHES + 11))


@pytest.mark.parametrize("seed", range(200))
def test_a_flipped_bit_costs_a_page_at_most(spool: Path, seed: int) -> None:
    randomness = random.Random(seed)
    files = files_of_spool(spool)
    if seed % 4 == 0:
        # Where SQLite keeps its structure, which is little of all.
        data = bytearray(spool.read_bytes())
        data[randomness.randrange(PAGE_BYTES * 2)] ^= 1 << randomness.randrange(8)
        spool.write_bytes(data)
    else:
        flip_bits(files, 1, randomness)
    assert check(drained(spool)) <= LARGEST_ON_A_PAGE


@pytest.mark.parametrize("seed", range(100))
def test_a_flipped_bit_in_what_describes_the_log_costs_a_page_at_most(
    spool: Path, seed: int
) -> None:
    """Its own head, and the head of each page in it: number, commit, salts and sums."""
    randomness = random.Random(seed)
    log = bytearray(log_of(spool).read_bytes())
    frame = randomness.choice([None, *range(32, len(log), 24 + PAGE_BYTES)])
    # Every other time so that one page is taken for another that there is.
    places = range(32) if frame is None else range(frame, frame + 24)
    place, bit = randomness.choice(places), randomness.randrange(8)
    if frame is not None and seed % 2:
        place, bit = frame + 3, randomness.randrange(7)
    log[place] ^= 1 << bit
    log_of(spool).write_bytes(log)
    assert check(drained(spool)) <= LARGEST_ON_A_PAGE


@pytest.mark.parametrize("seed", range(25))
def test_many_flipped_bits_are_all_accounted_for(spool: Path, seed: int) -> None:
    randomness = random.Random(seed)
    flip_bits(files_of_spool(spool), 12, randomness)
    check(drained(spool))


@pytest.mark.parametrize("seed", range(50))
def test_a_missing_end_is_accounted_for(spool: Path, seed: int) -> None:
    truncate(files_of_spool(spool), random.Random(seed))
    check(drained(spool))


@pytest.mark.parametrize(
    ("harm", "missing"),
    [
        (lambda spool: os.truncate(log_of(spool), 0), 41),
        (lambda spool: log_of(spool).unlink(), 41),
        (lambda spool: os.truncate(spool, 0), 19),
        (lambda spool: spool.unlink(), 19),
    ],
    ids=["empty log", "no log", "empty file", "no file"],
)
def test_a_file_that_is_gone_is_noticed(
    spool: Path, harm: Callable[[Path], None], missing: int
) -> None:
    harm(spool)
    # Some batches are in the log although they are older, with a page that changed since.
    assert missing - LARGEST_ON_A_PAGE <= check(drained(spool)) <= missing


def test_a_spool_that_was_taken_away_is_noticed_once(spool: Path) -> None:
    spool.unlink()
    log_of(spool).unlink()
    events: list[Event] = []
    for _ in range(2):
        disk = disk_of(spool, events)
        disk.probe()
        disk.close()
    first, second = (event for event in events if isinstance(event, Opened))
    rows = sum(batch(number).rows for number in range(11, BATCHES + 11))
    assert (first.lost, second.lost) == (Lost(BATCHES, rows), None)
    # Numbers are not used again.
    assert second.standing.last_number == BATCHES + 10


def test_a_spool_without_a_mark_is_taken_as_it_is(spool: Path) -> None:
    mark_of(spool).unlink()
    assert check(drained(spool)) == 0


def closed(folder: Path, batches: int = 20) -> Path:
    """A closed spool, its log copied into it, that never had a mark."""
    path = folder / "spool.db"
    file = SpoolFile(path)
    file.write([record_of(number, batch(number)) for number in range(1, batches + 1)], [])
    file.close()
    assert not log_of(path).exists()
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "update batches set label = x'00' where number = 7",
        "update counts set amount = amount + 1 where name = x'62617463686573'",
        "delete from counts",
    ],
)
def test_damage_to_what_accounts_for_batches_loses_none(tmp_path: Path, sql: str) -> None:
    path = closed(tmp_path)
    damage(path, sql)
    result = drained(path)
    assert sorted(result.found) == list(range(1, 21))
    assert result.salvages == 1


@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_a_lost_page_loses_what_was_on_it(tmp_path: Path, page: int) -> None:
    path = closed(tmp_path)
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)
    assert len(drained(path).found) >= 20 - LARGEST_ON_A_PAGE
    (aside,) = tmp_path.glob("spool.db.damaged-*")
    assert aside.stat().st_size > 20 * PAGE_BYTES


@pytest.mark.parametrize("content", [b"root:x:0:0\n" * 5_000, b"SQLite format 3\0" * 5_000])
def test_a_file_that_is_no_spool_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(content)
    disk = disk_of(path, [])
    for _ in range(2):
        with pytest.raises(SpoolFault) as caught:
            disk.probe()
        assert caught.value.kind is SpoolFaultKind.FOREIGN
        disk.failed(caught.value)
        assert path.read_bytes() == content
    disk.close()


def test_without_room_a_damaged_spool_stays_as_it_is(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(spool, 0)
    disk = disk_of(spool, [])
    usage = shutil.disk_usage(spool.parent)._replace(free=100_000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        for _ in range(2):
            with pytest.raises(SpoolFault, match="to save what can be read of it needs") as caught:
                disk.read(0, 1, 1)
            disk.failed(caught.value)
    disk.close()
    assert check(drained(spool)) > 0


class Crash(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("moment", range(8))
def test_a_crash_while_salvaging_loses_nothing(
    spool: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each moment that a file gets another name or a new one is opened."""
    truncated = random.Random(5)
    flip_bits([spool], 1, truncated)
    os.truncate(spool, spool.stat().st_size - 2 * PAGE_BYTES)
    left = moment

    def crash_at(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash
            return function(*arguments)

        return wrapped

    expected = Path(spool.parent / "expected" / "spool.db")
    expected.parent.mkdir()
    for name in FILES:
        shutil.copy(spool.with_name(name), expected.with_name(name))
    with monkeypatch.context() as patch, structlog.testing.capture_logs():
        patch.setattr(Path, "replace", crash_at(Path.replace))
        patch.setattr(salvage_module, "sync_folder", crash_at(sync_folder))
        disk = disk_of(spool, [])
        try:
            disk.probe()
        except Crash:
            pass
        else:
            disk.close()
    result = drained(spool)
    check(result)
    assert set(result.found) == set(drained(expected).found)
