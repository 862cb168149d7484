"""The spool's file: an SQLite database with a row a batch.

What always holds: what `write` returned from is on the disk and stays there until `write` removes
it, through kill -9 and power cuts; one call is one transaction, all or nothing; and what the file
counts (batches, rows, bytes, readings by tenant) is changed with what it holds, so that opening it
takes as long empty as full.

Used by one thread. Errors: `SpoolFault`; after one the state of the connection is unknown, and the
file is to be closed and opened again.

When an fsync fails: of the log, the commit fails, and its frames are written over by the next; of
the file, copying the log into it fails, the log stays as it is, and all of it is copied again. So
nothing rests on pages that the kernel only says it has written, as long as a log that is found on
opening is written again first (`penstock.spool.log`).
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from penstock.spool.counts import Change, Counts
from penstock.spool.database import PAGE_BYTES, open_database
from penstock.spool.faults import damaged, judged
from penstock.spool.label import Label, Record, Unreadable, decode_label
from penstock.spool.mark import Mark

LOG_BYTES = 4 * 1024 * 1024
"""About where the write-ahead log is copied into the file and begun anew."""
SLACK_BYTES = 16 * 1024 * 1024
"""An empty spool whose file is larger gives the disk back."""


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

    def __init__(self, path: Path, *, after_number: int = 0) -> None:
        """Open the file, creating it where there is none; numbers go on after `after_number`."""
        self.path = path
        self._connection = open_database(path)
        try:
            with judged():
                self.counts = self._read_counts()
                self._last_number = max(after_number, self._highest_number())
            self.standing, self.mark = self._stand()
        except BaseException:
            self.abandon()
            raise
        self._logged_bytes = LOG_BYTES
        """About how long the log is; at first that is not known."""
        self.commit_seconds = 0.0
        """How long the last commit took, which is above all its fsync."""
        self.change = Change()
        """What the last `write` was to do, or did."""

    def readings(self) -> dict[str | None, int]:
        """Readings in the file by tenant, a dead letter counting as one."""
        return self.counts.readings()

    def write(self, additions: Sequence[Record], removals: Iterable[int]) -> None:
        """Add records and remove others, on disk when this returns.

        Numbers that are not there are removed already. A record whose label is damaged is a fault
        of the kind `damaged`.
        """
        change = self.change = Change()
        with judged():
            self._keep_log_short()
            with self._transaction():
                for number in removals:
                    self._remove(number, change)
                for record in additions:
                    self._add(record, change)
                self._save_counts(change)
        self.counts = self.counts.after(change)
        for record in additions:
            self._last_number = max(self._last_number, record.number)
        self.standing, self.mark = self._stand()
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
                record = _record(number, label, body)
                rows += _label(number, label).rows
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
        return None if row is None else _record(*row)

    def oldest(self, after: int = 0) -> Iterator[Filed]:
        """What is known of the records above a number, without their bodies, the oldest first."""
        with judged():
            for number, label, size_bytes in self._connection.execute(
                "select number, label, length(label) + length(body) from batches"
                " where number > ? order by number",
                (after,),
            ):
                yield _filed(number, label, size_bytes)

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file; reads all of it."""
        with judged():
            rows = self._connection.execute("pragma integrity_check(20)").fetchall()
        found = [text.decode(errors="replace") for (text,) in rows]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Copy the write-ahead log into the file and close it; on disk when this returns."""
        with judged():
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()
            self._connection.close()

    def abandon(self) -> None:
        """Close it whatever state it is in; what was written stays written."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _read_counts(self) -> Counts:
        rows = self._connection.execute("select name, amount, crc from counts").fetchall()
        try:
            return Counts.of_rows(rows)
        except ValueError as error:
            raise damaged(str(error)) from error

    def _highest_number(self) -> int:
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

    def _add(self, record: Record, change: Change) -> None:
        self._connection.execute("insert into batches values (?, ?, ?)", record)
        change.add(_label(record.number, record.label), record.size_bytes)
        self._logged_bytes += record.size_bytes + PAGE_BYTES

    def _remove(self, number: int, change: Change) -> None:
        row = self._connection.execute(
            "select label, length(label) + length(body) from batches where number = ?", (number,)
        ).fetchone()
        if row is None:
            return
        filed = _filed(number, *row)
        change.remove(filed.label, filed.size_bytes)
        self._connection.execute("delete from batches where number = ?", (number,))
        self._logged_bytes += PAGE_BYTES

    def _save_counts(self, change: Change) -> None:
        for row in change.rows(self.counts):
            name, amount, _ = row
            if amount:
                self._connection.execute("insert or replace into counts values (?, ?, ?)", row)
            else:
                self._connection.execute("delete from counts where name = ?", (name,))
        self._logged_bytes += PAGE_BYTES

    def _keep_log_short(self) -> None:
        """Copy the log into the file when it is long: a failure refuses what was to be written."""
        if self._logged_bytes >= LOG_BYTES:
            self._connection.execute("pragma wal_checkpoint(passive)").fetchall()
            self._logged_bytes = 0

    def _stand(self) -> tuple[Standing, Mark]:
        oldest = next(self.oldest(), None)
        counts = self.counts
        if (oldest is not None) != (counts.batches > 0):
            raise damaged(f"it should hold {counts.batches} batches")
        standing = Standing(
            batches=counts.batches,
            rows=counts.rows,
            size_bytes=counts.size_bytes,
            oldest_us=oldest.label.received_us if oldest else None,
            last_number=self._last_number,
        )
        oldest_number = oldest.number if oldest else self._last_number + 1
        mark = Mark(counts.commits, self._last_number, oldest_number, counts.batches, counts.rows)
        return standing, mark

    def _give_back(self) -> None:
        """Shrink an empty file that once held much."""
        with judged():
            (pages,) = self._connection.execute("pragma page_count").fetchone()
            if pages * PAGE_BYTES > SLACK_BYTES:
                self._connection.execute("vacuum")
                self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()


def _record(number: int, label: object, body: object) -> Record:
    """A row as it was read; damage can make anything of its columns."""
    if not isinstance(label, bytes) or not isinstance(body, bytes):
        raise damaged(f"batch {number}: it is of another type than what was written")
    return Record(number, label, body)


def _filed(number: int, label: object, size_bytes: object) -> Filed:
    """The same, without its body."""
    if not isinstance(label, bytes) or not isinstance(size_bytes, int):
        raise damaged(f"batch {number}: it is of another type than what was written")
    return Filed(number, _label(number, label), size_bytes)


def _label(number: int, label: bytes) -> Label:
    try:
        return decode_label(number, label)
    except Unreadable as error:
        raise damaged(f"batch {number}: {error}") from error
