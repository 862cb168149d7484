"""A spool whose daemon was killed; what comes out of it when it is drained, and is that right?

What always holds: a batch follows from its number, so that what comes out is compared with what was
put in.
"""

import shutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock.clock import SystemClock
from penstock.model import Batch
from penstock.observability.metrics import SpoolFaultKind
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool.database import PAGE_BYTES
from penstock.spool.disk import Disk
from penstock.spool.faults import SpoolFault
from penstock.spool.jobs import Event, Opened
from penstock.spool.log import log_of
from penstock.spool.quota import Quota
from tests.support.batches import batch_of
from tests.support.spooling import readable_in, record_of, rows_of

FIRST, LAST = 11, 70
"""The batches that a killed spool holds."""
LARGEST_ON_A_PAGE = 6
"""So many of them have their beginning on one page."""
FILES = ("spool.db", "spool.db-wal", "spool.db.mark")

_LAST_IN_THE_FILE = 29
"""The batches after it are in the log alone."""
_EVERYTHING = 10**12


def disk_of(path: Path, events: list[Event]) -> Disk:
    return Disk(path, Quota(SpoolSettings()), SystemClock(), events.append)


def batch(number: int) -> Batch:
    rows = 100 + 13 * number if number % 3 else 1_500
    return batch_of(rows=rows, texts=3, dead_letters=1, tenants=4, number=number)


def make_killed(folder: Path) -> None:
    """Put the files of a spool whose daemon was killed into a folder."""
    live = folder / "live" / "spool.db"
    live.parent.mkdir()
    disk = disk_of(live, [])
    disk.write([record_of(number, batch(number)) for number in range(1, _LAST_IN_THE_FILE + 1)], [])
    disk.close()
    disk = disk_of(live, [])
    for number in range(_LAST_IN_THE_FILE + 1, LAST + 1):
        disk.write([record_of(number, batch(number))], [])
    for number in range(1, FIRST):
        disk.write([], [number])
    for name in FILES:
        shutil.copy(live.with_name(name), folder / name)
    disk.close()
    assert log_of(folder / "spool.db").stat().st_size > (LAST - FIRST) // 2 * PAGE_BYTES


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
            while records := disk.read(0, 2_000, _EVERYTHING):
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
        assert rows_of(one) == _rows_put_in(number), number
    missing = set(range(FIRST, LAST + 1)) - set(result.found)
    assert len(missing) == len(result.unreadable & missing) + result.lost_batches
    return len(missing)


@cache
def _rows_put_in(number: int) -> tuple[object, ...]:
    """Kept, since a few hundred spools with the same batches are judged."""
    return rows_of(batch(number))
