"""A spool that is a dictionary, with the moods of a real one, on the time of the event loop."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from penstock.model import Batch
from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.faults import SpoolFault
from penstock.spool.file import Standing
from penstock.spool.label import Record, decode_label, readings_of_label
from penstock.spool.reports import SpoolAccount
from penstock.spool.spool import SpoolFull, SpoolStatus
from tests.support.spooling import record_of

PROBE_SECONDS = 1.0


class DiskMood(StrEnum):
    """How the disk answers to what is begun now."""

    WELL = "well"
    SLOW = "slow"
    FULL = "full"
    """The quota is reached."""
    FAILING = "failing"
    UNSURE = "unsure"
    """What is written is there, and the disk says that it failed."""


class Disk:
    """What outlasts the process: the records, and the mood."""

    def __init__(self) -> None:
        self.mood = DiskMood.WELL
        self.ends_what_is_left = False
        """Whether it writes in the end what nobody waits for any more."""
        self.records: dict[int, Record] = {}


class ModelSpool:
    """Fulfils what the flow asks of `penstock.spool.spool.Spool`."""

    def __init__(self, disk: Disk, account: SpoolAccount) -> None:
        self.changed = asyncio.Event()
        self._disk = disk
        self._account = account
        self._next_number = max(disk.records, default=0) + 1
        self._fault: SpoolFault | None = None
        account.spool_opened(_readings(disk.records))

    @property
    def usable(self) -> bool:
        return self._fault is None and self._disk.mood is not DiskMood.FULL

    @property
    def status(self) -> SpoolStatus:
        return SpoolStatus("usable" if self.usable else "unusable", str(self._fault or ""))

    @property
    def standing(self) -> Standing:
        return Standing(
            batches=len(self._disk.records), last_number=max(self._disk.records, default=0)
        )

    async def run(self) -> None:
        """Find out when a disk that failed works again."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            if self._fault is not None and self._disk.mood is not DiskMood.FAILING:
                self._fault = None
                self.changed.set()

    async def append(self, batch: Batch) -> None:
        record = record_of(self._next_number, batch)
        self._next_number += 1
        if self._disk.mood is DiskMood.FULL:
            raise SpoolFull("the spool is full")
        await self._change({record.number: record}, [])
        self.changed.set()

    async def read(self, after: int, max_rows: int, max_bytes: int) -> list[Record]:
        """In the order of their numbers, in which they need not have come to be on the disk."""
        found: list[Record] = []
        rows = 0
        for number in sorted(number for number in self._disk.records if number > after):
            record = self._disk.records[number]
            rows += decode_label(number, record.label).rows
            if found and rows > max_rows:
                break
            found.append(record)
        return found

    async def remove(self, numbers: Sequence[int]) -> None:
        await self._change({}, numbers)

    async def set_aside(self, record: Record, reason: str) -> None:
        raise AssertionError(f"record {record.number} is not damaged: {reason}")

    async def _change(self, additions: dict[int, Record], removals: Sequence[int]) -> None:
        mood = self._disk.mood
        try:
            await asyncio.sleep(0.7 if mood is DiskMood.SLOW else 0.002)
        except asyncio.CancelledError:
            if self._disk.ends_what_is_left and mood is not DiskMood.FAILING:
                self._write(additions, removals)
            raise
        if mood is not DiskMood.FAILING:
            self._write(additions, removals)
        if mood in {DiskMood.FAILING, DiskMood.UNSURE}:
            self._fault = SpoolFault(SpoolFaultKind.IO_ERROR, "the disk of the spool fails")
            if mood is DiskMood.UNSURE:
                self._account.spool_surplus(_readings(additions))
            raise self._fault

    def _write(self, additions: dict[int, Record], removals: Sequence[int]) -> None:
        self._disk.records |= additions
        for number in removals:
            self._disk.records.pop(number, None)


def _readings(records: Mapping[int, Record]) -> Counter[str | None]:
    held: Counter[str | None] = Counter()
    for record in records.values():
        held.update(readings_of_label(decode_label(record.number, record.label)))
    return held
