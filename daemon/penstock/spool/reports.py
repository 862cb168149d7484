"""Tells people, the counts and the account what happened to the spool by itself.

What always holds: whatever enters or leaves the file in ways that nobody asked for (found on
opening, dropped to make room, lost to damage) is told to the account; and what loses readings is an
ERROR in the log that says what to do.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from penstock.observability.metrics import SpoolCounts
from penstock.spool.file import Filed
from penstock.spool.jobs import Event, Lost, Opened, Written
from penstock.spool.label import Record, decode_label, readings_of_label
from penstock.spool.salvage import Salvaged

log = structlog.get_logger(__name__)


class SpoolAccount(Protocol):
    """Told of readings that move without anybody having moved them."""

    def spool_opened(self, more_readings: Mapping[str | None, int]) -> None:
        """So many more are in the spool than was known; fewer where the number is negative."""
        ...

    def spool_dropped(self, readings: Mapping[str | None, int]) -> None:
        """These readings left the spool for good, and are stored nowhere."""
        ...

    def spool_surplus(self, readings: Mapping[str | None, int]) -> None:
        """These readings came to be in the spool although that was given up on."""
        ...


class Reports:
    """Told of every event of one spool, in order."""

    def __init__(self, counts: SpoolCounts, account: SpoolAccount) -> None:
        self._counts = counts
        self._account = account

    def happened(self, event: Event) -> None:
        """Something happened to the file."""
        match event:
            case Opened():
                self._account.spool_opened(event.more_readings)
                if event.salvaged is not None:
                    self._salvaged(event.salvaged)
                if event.lost is not None:
                    self._lost(event.lost)
            case Written():
                self._counts.commit_seconds.observe(event.commit_seconds)
                if event.dropped:
                    self._dropped(event.dropped)

    def quarantined(self, record: Record, reason: str, file: Path) -> None:
        """A record that cannot be read was moved to `file`."""
        label = decode_label(record.number, record.label)
        self._counts.quarantined_batches += 1
        self._counts.quarantined_rows += label.rows
        self._account.spool_dropped(readings_of_label(label))
        log.error(
            "spool_batch_quarantined", reason=reason, rows=label.rows, file=str(file),
            advice="a batch in the spool is damaged and its readings are lost to the database; the"
            " disk may be failing; the file is kept for you to look at and delete",
        )  # fmt: skip

    def _salvaged(self, salvaged: Salvaged) -> None:
        self._counts.salvages += 1
        log.error(
            "spool_salvaged", damaged_file=str(salvaged.aside), batches=salvaged.batches,
            advice="the spool was damaged; what could be read of it goes on, and the damaged file"
            " is kept for you to look at and delete; the disk may be failing",
        )  # fmt: skip

    def _lost(self, lost: Lost) -> None:
        self._counts.lost_batches += lost.batches
        self._counts.lost_rows += lost.rows
        log.error(
            "spool_lost", batches=lost.batches, rows=lost.rows,
            advice="these were in the spool and are not there any more: its files were damaged,"
            " shortened or removed; the disk may be failing",
        )  # fmt: skip

    def _dropped(self, dropped: Sequence[Filed]) -> None:
        rows = sum(filed.label.rows for filed in dropped)
        readings: Counter[str | None] = Counter()
        for filed in dropped:
            readings.update(readings_of_label(filed.label))
        self._counts.dropped_batches += len(dropped)
        self._counts.dropped_rows += rows
        self._account.spool_dropped(readings)
        log.error(
            "spool_dropped_oldest", batches=len(dropped), rows=rows,
            advice="the spool is full and spool.when_full is drop_oldest: these readings are lost",
        )  # fmt: skip
