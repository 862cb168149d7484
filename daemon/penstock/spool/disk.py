"""The spool's files: opens, writes and mends them, and keeps them to one program.

What always holds: after a fault the file is closed, and opened anew for what is asked next; one
that turns out to be damaged is salvaged then; and when less is in it than its mark says, that is
told. Used by one thread.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from penstock.clock import Clock
from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.counts import Counts, difference
from penstock.spool.faults import SpoolFault, judged
from penstock.spool.file import Filed, SpoolFile
from penstock.spool.jobs import Event, Lost, Opened, Written
from penstock.spool.label import Record, readings_of_label
from penstock.spool.lock import SpoolLock
from penstock.spool.log import renew_log, restore_log
from penstock.spool.mark import Mark, read_mark, write_mark
from penstock.spool.quarantine import set_aside
from penstock.spool.quota import Quota
from penstock.spool.reserve import Reserve
from penstock.spool.salvage import Salvaged, finish_salvage, salvage


class Disk:
    """The files of one spool, from the first use to `close`. Errors of all that is asked: any."""

    def __init__(
        self, path: Path, quota: Quota, clock: Clock, tell: Callable[[Event], None]
    ) -> None:
        """`tell` is called before the method returns in which something happened."""
        self._path = path
        self._quota = quota
        self._clock = clock
        self._tell = tell
        self._lock: SpoolLock | None = None
        self._file: SpoolFile | None = None
        self._known = Counts({})
        """What the file counted after the last commit that did not fail."""
        self._unsure: Mapping[str | None, int] = {}
        """Readings that the last commit was asked to remove, if it failed."""
        self._damaged = False
        self._reserve = Reserve(path)
        self._last_read = 0
        self.full = False
        """Whether the last fault was that the disk is full."""

    def write(self, records: Sequence[Record], numbers: Sequence[int]) -> None:
        """Add records, making room for them as the quota says, and remove others."""
        file = self._opened()
        dropped: list[Filed] = []
        if records:
            self._reserve.hold()
            self.full = False
            if self._quota.drops_oldest:
                dropped = self._surplus(file, sum(record.size_bytes for record in records))
        try:
            self._write(file, records, [*numbers, *(filed.number for filed in dropped)], dropped)
        except BaseException:
            self._unsure = difference(_readings_of(dropped), file.change.removed)
            raise

    def read(self, after: int, max_rows: int, max_bytes: int) -> list[Record]:
        """The records after a number, up to so many rows and bytes but one."""
        found = self._opened().read(after, max_rows, max_bytes)
        if found:
            self._last_read = max(self._last_read, found[-1].number)
        return found

    def set_aside(self, record: Record) -> Path:
        """Move an unreadable record into the quarantine."""
        file = self._opened()
        aside = set_aside(self._path, record)
        self._write(file, [], [record.number], [])
        return aside

    def probe(self) -> None:
        """Write, and have it synced, what changes nothing."""
        file = self._opened()
        self._reserve.hold()
        self._write(file, [], [], [])

    def failed(self, error: Exception) -> None:
        """Prepare for the next attempt, after any of the others raised `error`."""
        kind = error.kind if isinstance(error, SpoolFault) else None
        self.full = kind is SpoolFaultKind.DISK_FULL
        self._damaged = self._damaged or kind is SpoolFaultKind.DAMAGED
        if self.full:
            with suppress(SpoolFault):
                self._reserve.release()
        else:
            self._close_file()

    def close(self) -> None:
        """Close the file and let others have it."""
        self._close_file()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _write(
        self,
        file: SpoolFile,
        records: Sequence[Record],
        numbers: Sequence[int],
        dropped: Sequence[Filed],
    ) -> None:
        file.write(records, numbers)
        self._known, self._unsure = file.counts, {}
        write_mark(self._path, file.mark)
        self._tell(Written(file.standing, file.commit_seconds, dropped))

    def _surplus(self, file: SpoolFile, more_bytes: int) -> list[Filed]:
        """What has to make room; what was read may be stored by now, and is not dropped."""
        size_bytes, now_us = file.standing.size_bytes, self._clock.now_us()
        return self._quota.surplus(size_bytes, file.oldest(self._last_read), more_bytes, now_us)

    def _opened(self) -> SpoolFile:
        """The file, opened and salvaged as need be."""
        if self._file is None:
            self._lock = self._lock or SpoolLock(self._path)
            moment = str(self._clock.now_us())
            finish_salvage(self._path, moment)
            mark = read_mark(self._path)
            file, salvaged = self._open(mark, moment)
            try:
                behind = salvaged is not None or _is_behind(file, mark)
                lost = _lost(file, mark) if mark and behind else None
            except BaseException:
                file.abandon()
                raise
            write_mark(self._path, file.mark)
            more = self._more_readings(file.counts)
            self._file, self._damaged = file, False
            self._known, self._unsure = file.counts, {}
            self._tell(Opened(more, file.standing, salvaged, lost))
        return self._file

    def _more_readings(self, found: Counts) -> dict[str | None, int]:
        """So many more are there than is known; see `Opened`.

        What a failed commit has removed all the same will be asked to be removed again.
        """
        before = Counter(self._known.readings())
        if found.commits > self._known.commits:
            before.subtract(self._unsure)
        return difference(before, found.readings())

    def _open(self, mark: Mark | None, moment: str) -> tuple[SpoolFile, Salvaged | None]:
        after_number = mark.last_number if mark else 0
        logged = renew_log(self._path)
        # SQLite would remove the log of an empty file.
        if not (self._damaged or (logged and _is_empty(self._path))):
            file = None
            try:
                file = SpoolFile(self._path, after_number=after_number)
            except SpoolFault as fault:
                if fault.kind is not SpoolFaultKind.DAMAGED:
                    raise
            if file is not None:
                # What is missing may still be in the log, behind what is damaged there.
                if not (logged and _is_behind(file, mark)):
                    return file, None
                file.abandon()
            restore_log(self._path, logged)
        salvaged = salvage(self._path, logged, mark, moment)
        return SpoolFile(self._path, after_number=after_number), salvaged

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.abandon()
            self._file = None


def _readings_of(records: Iterable[Filed]) -> Counter[str | None]:
    readings: Counter[str | None] = Counter()
    for filed in records:
        readings.update(readings_of_label(filed.label))
    return readings


def _is_empty(file: Path) -> bool:
    """Whether nothing is in a file, which is made if need be."""
    with judged():
        file.touch(mode=0o600)
        return file.stat().st_size == 0


def _is_behind(file: SpoolFile, mark: Mark | None) -> bool:
    return mark is not None and file.mark.commits < mark.commits


def _lost(file: SpoolFile, mark: Mark) -> Lost | None:
    """What was in the spool by its mark, and is not in the file; reads every label."""
    found = [filed.label.rows for filed in file.oldest(mark.oldest_number - 1)]
    lost = Lost(max(0, mark.batches - len(found)), max(0, mark.rows - sum(found)))
    return lost if lost.batches else None
