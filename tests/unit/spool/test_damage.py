"""Damage to the files of a killed spool costs what it touched, and all of that is noticed."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.spool.database import PAGE_BYTES
from penstock.spool.jobs import Event, Lost, Opened
from penstock.spool.log import log_of
from penstock.spool.mark import mark_of
from tests.support.damage import files_of_spool, flip_bits, truncate
from tests.support.salvaging import (
    FIRST,
    LARGEST_ON_A_PAGE,
    LAST,
    batch,
    check,
    disk_of,
    drained,
)


def test_a_killed_spool_has_everything(spool: Path) -> None:
    result = drained(spool)
    assert check(result) == result.salvages == 0
    assert set(result.found) == set(range(FIRST, LAST + 1))


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
    rows = sum(batch(number).rows for number in range(FIRST, LAST + 1))
    assert (first.lost, second.lost) == (Lost(LAST - FIRST + 1, rows), None)
    # Numbers are not used again.
    assert second.standing.last_number == LAST


def test_a_spool_without_a_mark_is_taken_as_it_is(spool: Path) -> None:
    mark_of(spool).unlink()
    assert check(drained(spool)) == 0
