"""The spool's file: an SQLite database with a row a batch.

What always holds: what `write` returned from is on the disk and stays there until `write` removes
it, through kill -9 and power cuts; one call is one transaction, all or nothing; and what the file
counts (batches, rows, bytes, readings by tenant) is changed with what it holds, so that opening it
takes as long empty as full.

A write-ahead log is kept and synced at each commit (WAL, synchronous=FULL). The locking mode is
exclusive, so no memory is shared through the file system, where a full disk would be a crash. Used
by one thread. Errors: `SpoolFault`; after one the state of the connection is unknown, and the file
is to be closed and opened again.
"""

import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.codec import Label, Record, Unreadable, decode_label, tenant_name
from penstock.spool.faults import SpoolFault, judged

APPLICATION_ID = 0x50535031
"""Another layout of the tables gets another one, and other names."""
PAGE_BYTES = 16_384
CACHE_KIBIBYTES = 4_096
LOG_BYTES = 4 * 1024 * 1024
"""About where the write-ahead log is copied into the file and begun anew."""
SLACK_BYTES = 16 * 1024 * 1024
"""An empty spool whose file is larger gives the disk back."""

_SETUP = f"""
    pragma page_size = {PAGE_BYTES};
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma wal_autocheckpoint = {LOG_BYTES // PAGE_BYTES};
    pragma journal_size_limit = {LOG_BYTES};
    pragma cache_size = -{CACHE_KIBIBYTES};
    pragma mmap_size = 0;
    pragma temp_store = memory;
    pragma secure_delete = off;
    pragma cell_size_check = on;
    pragma trusted_schema = off;
"""

_TABLES = f"""
    begin immediate;
    create table batches (number integer primary key, label blob not null, body blob not null);
    create table counts (
        name blob primary key, amount integer not null, crc integer not null
    ) without rowid;
    pragma application_id = {APPLICATION_ID};
    commit;
"""

_BATCHES, _ROWS, _BYTES = b"batches", b"rows", b"bytes"
_TENANT, _NO_TENANT = b"tenant:", b"no tenant"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How much is in a spool."""

    batches: int = 0
    rows: int = 0
    size_bytes: int = 0
    oldest_us: int | None = None
    """When the first message of its oldest batch was received; `None` when it is empty."""
    last_number: int = 0
    """The highest number that is or was in it since it was opened."""


class Filed(NamedTuple):
    """A record in the file, without its body."""

    number: int
    label: Label
    size_bytes: int


class SpoolFile:
    """One open file."""

    def __init__(self, path: Path) -> None:
        """Open the file, creating it where there is none."""
        self.path = path
        with judged():
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=0
            )
        try:
            with judged():
                self._connection.execute("pragma locking_mode = exclusive")
                # Before anything that would change the file of another program.
                self._tables()
                self._connection.executescript(_SETUP)
                self._create_tables()
            self._counts = self._read_counts()
            self._last_number = self._highest_number()
            self.standing = self._stand()
        except BaseException:
            self.abandon()
            raise
        self.commit_seconds = 0.0
        """How long the last commit took, which is above all its fsync."""

    def readings(self) -> dict[str | None, int]:
        """Readings in the file by tenant, a dead letter counting as one."""
        tenants: dict[str | None, int] = {}
        for name, amount in self._counts.items():
            if name == _NO_TENANT:
                tenants[None] = amount
            elif name.startswith(_TENANT):
                tenants[tenant_name(name.removeprefix(_TENANT))] = amount
        return tenants

    def write(self, additions: Sequence[Record], removals: Iterable[int]) -> None:
        """Add records and remove others, on disk when this returns.

        Numbers that are not there are removed already. A record whose label is damaged is a fault
        of the kind `damaged`.
        """
        changes: Counter[bytes] = Counter()
        with judged(), self._transaction():
            for number in removals:
                self._remove(number, changes)
            for record in additions:
                self._add(record, changes)
            self._save_counts(changes)
        self._counts = _sum(self._counts, changes)
        for record in additions:
            self._last_number = max(self._last_number, record.number)
        self.standing = self._stand()
        if not self.standing.batches:
            self._give_back()

    def read(self, after: int, max_rows: int, max_bytes: int) -> list[Record]:
        """Records above the number `after`, in order, up to so many rows and bytes but one."""
        found: list[Record] = []
        rows = size_bytes = 0
        with judged():
            for number, label, body in self._connection.execute(
                "select number, label, body from batches where number > ? order by number", (after,)
            ):
                record = Record(number, label, body)
                rows += self._label(number, label).rows
                size_bytes += record.size_bytes
                if found and (rows > max_rows or size_bytes > max_bytes):
                    break
                found.append(record)
        return found

    def get(self, number: int) -> Record | None:
        """One record."""
        with judged():
            row = self._connection.execute(
                "select number, label, body from batches where number = ?", (number,)
            ).fetchone()
        return None if row is None else Record(*row)

    def oldest(self) -> Iterator[Filed]:
        """What is known of the records without reading their bodies, the oldest first."""
        with judged():
            for number, label, size_bytes in self._connection.execute(
                "select number, label, length(label) + length(body) from batches order by number"
            ):
                yield Filed(number, self._label(number, label), size_bytes)

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file; reads all of it."""
        with judged():
            found = [text for (text,) in self._connection.execute("pragma integrity_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Copy the write-ahead log into the file and close it."""
        with judged():
            self._connection.close()

    def abandon(self) -> None:
        """Close it whatever state it is in; what was written stays written."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _create_tables(self) -> None:
        if self._tables() is None:
            self._connection.executescript(_TABLES)

    def _tables(self) -> set[str] | None:
        """The tables that are there, `None` in a new file; a fault when they are not ours."""
        (application,) = self._connection.execute("pragma application_id").fetchone()
        names = {name for (name,) in self._connection.execute("select name from sqlite_schema")}
        if not names and application == 0:
            return None
        if names != {"batches", "counts"}:
            raise SpoolFault(
                SpoolFaultKind.FOREIGN,
                f"{self.path} is not a spool, or one of another version of Penstock; move it away,"
                " or give another spool.path",
            )
        if application != APPLICATION_ID:
            raise _damaged("its head is not what was written")
        return names

    def _read_counts(self) -> dict[bytes, int]:
        with judged():
            rows = self._connection.execute("select name, amount, crc from counts").fetchall()
        counts = {}
        for name, amount, crc in rows:
            if not isinstance(name, bytes) or crc != _crc(name, amount):
                raise _damaged("what it counts is not what was written")
            counts[name] = amount
        return counts

    def _highest_number(self) -> int:
        with judged():
            (number,) = self._connection.execute("select max(number) from batches").fetchone()
        return number or 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
            started_seconds = time.perf_counter()
            self._connection.execute("commit")
            self.commit_seconds = time.perf_counter() - started_seconds
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("rollback")
            raise

    def _add(self, record: Record, changes: Counter[bytes]) -> None:
        self._connection.execute("insert into batches values (?, ?, ?)", record)
        label = decode_label(record.number, record.label)
        _count(changes, label, record.size_bytes, sign=1)

    def _remove(self, number: int, changes: Counter[bytes]) -> None:
        row = self._connection.execute(
            "select label, length(label) + length(body) from batches where number = ?", (number,)
        ).fetchone()
        if row is None:
            return
        label, size_bytes = row
        _count(changes, self._label(number, label), size_bytes, sign=-1)
        self._connection.execute("delete from batches where number = ?", (number,))

    def _save_counts(self, changes: Mapping[bytes, int]) -> None:
        for name, change in changes.items():
            amount = self._counts.get(name, 0) + change
            if amount:
                self._connection.execute(
                    "insert or replace into counts values (?, ?, ?)",
                    (name, amount, _crc(name, amount)),
                )
            else:
                self._connection.execute("delete from counts where name = ?", (name,))

    def _label(self, number: int, label: bytes) -> Label:
        try:
            return decode_label(number, label)
        except Unreadable as error:
            raise _damaged(f"batch {number}: {error}") from error

    def _stand(self) -> Standing:
        oldest = next(self.oldest(), None)
        batches = self._counts.get(_BATCHES, 0)
        if (oldest is not None) != (batches > 0):
            raise _damaged(f"it should hold {batches} batches")
        return Standing(
            batches=batches,
            rows=self._counts.get(_ROWS, 0),
            size_bytes=self._counts.get(_BYTES, 0),
            oldest_us=oldest.label.received_us if oldest else None,
            last_number=self._last_number,
        )

    def _give_back(self) -> None:
        """Shrink an empty file that once held much."""
        with judged():
            (pages,) = self._connection.execute("pragma page_count").fetchone()
            if pages * PAGE_BYTES > SLACK_BYTES:
                self._connection.execute("vacuum")
                self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()


def _count(changes: Counter[bytes], label: Label, size_bytes: int, *, sign: int) -> None:
    changes[_BATCHES] += sign
    changes[_ROWS] += sign * label.rows
    changes[_BYTES] += sign * size_bytes
    for tenant, readings in label.readings:
        changes[_NO_TENANT if tenant is None else _TENANT + tenant] += sign * readings


def _sum(counts: dict[bytes, int], changes: Mapping[bytes, int]) -> dict[bytes, int]:
    for name, change in changes.items():
        amount = counts.get(name, 0) + change
        if amount:
            counts[name] = amount
        else:
            counts.pop(name, None)
    return counts


def _crc(name: bytes, amount: int) -> int:
    return zlib.crc32(b"%d %s" % (amount, name))


def _damaged(what: str) -> SpoolFault:
    return SpoolFault(SpoolFaultKind.DAMAGED, f"the spool is damaged: {what}")
