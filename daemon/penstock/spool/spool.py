"""The spool as the rest of the daemon sees it.

What always holds: `append` returns when the batch is on the disk; a spool that does not work says
so in `status`, refuses batches with `Retryable`, and is tried again until it works, without a
restart; nothing waits for it longer than `TIMEOUT_SECONDS`; and whatever enters or leaves the file
in ways that nobody asked for (found on opening, dropped to make room, lost to damage) is told to
the account.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import random
from typing import Any, Literal

import msgspec
import structlog

from penstock.backoff import Backoff
from penstock.clock import Clock
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.observability.metrics import SpoolCounts, SpoolFaultKind
from penstock.pipeline.accounting import readings_by_tenant
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool.codec import encode
from penstock.spool.faults import SpoolFault
from penstock.spool.file import Standing
from penstock.spool.jobs import AnyJob, Append, Event, Opened, Probe, Read, Remove, SetAside
from penstock.spool.label import Record
from penstock.spool.quota import Quota
from penstock.spool.reports import Reports, SpoolAccount
from penstock.spool.worker import Worker

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 30.0
CLOSE_SECONDS = 5.0
"""What is not finished then is as after a crash."""
RETRY_MIN_SECONDS = 1.0
RETRY_MAX_SECONDS = 15.0


class SpoolFull(Retryable):
    """The batch does not fit under the quota."""


class SpoolStatus(msgspec.Struct, frozen=True):
    """How the spool is."""

    state: Literal["usable", "full", "unusable"]
    detail: str
    """Why it is not usable, and what to do; empty when it is."""


class Spool:
    """One spool, from `open` to `close`. Fulfils `penstock.pipeline.buffer.Buffer`."""

    def __init__(
        self, settings: SpoolSettings, counts: SpoolCounts, account: SpoolAccount, clock: Clock
    ) -> None:
        assert settings.path is not None
        self._path = Path(settings.path)
        self._counts = counts
        self._account = account
        self._reports = Reports(counts, account)
        self._clock = clock
        self._quota = Quota(settings)
        self._worker: Worker | None = None
        self._next_number = 1
        self._pending_bytes = 0
        self._fault: SpoolFault | None = None
        self._backoff = Backoff(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS, random)
        self._refused_bytes = 0
        self.standing = Standing()
        """What it holds."""
        self.changed = asyncio.Event()
        """Set when something was added, or the spool was found to work; whoever waits clears it."""

    @property
    def usable(self) -> bool:
        """Whether a batch may be appended now."""
        return self._fault is None and not self._full(0)

    @property
    def status(self) -> SpoolStatus:
        """How it is, for people."""
        if self._fault is not None:
            return SpoolStatus("unusable", str(self._fault))
        full = self._full(0)
        return SpoolStatus("full" if full else "usable", full)

    @property
    def max_bytes(self) -> int:
        """The quota."""
        return self._quota.max_bytes

    async def open(self) -> None:
        """Open the file, or find out that it does not work; then `run` goes on trying."""
        self._worker = Worker(self._path, self._quota, self._clock, self._happened)
        self._worker.start()
        try:
            await self._ask(Probe())
        except SpoolFault:
            return
        log.info(
            "spool_opened", path=str(self._path), batches=self.standing.batches,
            rows=self.standing.rows, bytes=self.standing.size_bytes,
        )  # fmt: skip

    async def run(self) -> None:
        """Try a spool that does not work again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._backoff.next_seconds() if self._fault else RETRY_MIN_SECONDS)
            if self._fault is not None:
                await self._probe()

    async def append(self, batch: Batch) -> None:
        """Return once the batch is on the disk.

        Errors: `SpoolFull`; `SpoolFault`, after which the batch may still come to be in the spool.
        """
        readings = readings_by_tenant(batch)
        record = encode(self._next_number, batch, readings)
        self._refuse_when_full(record.size_bytes)
        self._next_number += 1
        self._pending_bytes += record.size_bytes
        job = Append(record)
        try:
            await self._ask(job)
        except SpoolFault as fault:
            if fault.kind is SpoolFaultKind.HUNG:
                job.answer.add_done_callback(lambda answer: self._late(answer, batch, readings))
            raise
        finally:
            self._pending_bytes -= record.size_bytes
        self._appended(batch)

    async def read(self, after: int, max_rows: int, max_bytes: int) -> list[Record]:
        """The records after a number, in order, up to so many rows and bytes, but at least one.

        Errors: `SpoolFault`.
        """
        found: list[Record] = await self._ask(Read(after, max_rows, max_bytes))
        return found

    async def remove(self, numbers: Sequence[int]) -> None:
        """Take records from the disk; those that are gone are removed already. `SpoolFault`."""
        await self._ask(Remove(numbers))

    async def set_aside(self, record: Record, reason: str) -> None:
        """Move an unreadable record into the quarantine. `SpoolFault`."""
        file = await self._ask(SetAside(record))
        self._reports.quarantined(record, reason, file)

    async def close(self) -> None:
        """Close the file."""
        if self._worker is not None and not await self._worker.stop(CLOSE_SECONDS):
            log.warning(
                "spool_not_closed", path=str(self._path),
                advice="its disk is slow; nothing is lost, and the next start opens it as it is",
            )  # fmt: skip

    async def _ask(self, job: AnyJob) -> Any:
        """What the thread answers to a job."""
        assert self._worker is not None
        self._worker.submit(job)
        await asyncio.wait((job.answer,), timeout=TIMEOUT_SECONDS)
        try:
            answer = _in_time(job)
        except SpoolFault as fault:
            self._failed(fault)
            raise
        if isinstance(job, Append | Probe):
            self._works()
        return answer

    async def _probe(self) -> None:
        with suppress(SpoolFault):
            await self._ask(Probe())

    def _refuse_when_full(self, more_bytes: int) -> None:
        full = self._full(more_bytes)
        if full:
            if not self._refused_bytes:
                log.error(
                    "spool_full", reason=full, bytes=self.standing.size_bytes,
                    advice="messages are held back at the broker until the database takes batches"
                    " again; raise spool.max_bytes if the disk has room",
                )  # fmt: skip
            self._refused_bytes = more_bytes
            raise SpoolFull(full)

    def _full(self, more_bytes: int) -> str:
        empty = not self.standing.batches and not self._pending_bytes
        if self._quota.drops_oldest or empty:
            return ""
        # Full until the batch has room that was refused, or others would be refused one by one.
        wanted_bytes = self._pending_bytes + max(1, self._refused_bytes, more_bytes)
        return self._quota.full(self.standing, wanted_bytes, self._clock.now_us())

    def _failed(self, fault: SpoolFault) -> None:
        self._counts.faults[fault.kind] += 1
        if self._fault is None:
            log.error(
                "spool_unusable", fault=fault.kind, error=str(fault), path=str(self._path),
                advice="messages that the database does not take are held back at the broker until"
                " this is mended; no restart is needed",
            )  # fmt: skip
        self._fault = fault

    def _works(self) -> None:
        if self._fault is not None:
            log.info("spool_usable", path=str(self._path))
            self._fault = None
        self.changed.set()

    def _appended(self, batch: Batch) -> None:
        self._backoff.reset()
        self._refused_bytes = 0
        self._counts.appended_batches += 1
        self._counts.appended_rows += batch.rows
        self.changed.set()

    def _late(
        self, answer: asyncio.Future[None], batch: Batch, readings: Mapping[str | None, int]
    ) -> None:
        if answer.exception() is None:
            self._account.spool_surplus(readings)
            self._appended(batch)

    def _happened(self, event: Event) -> None:
        self.standing = event.standing
        self._reports.happened(event)
        if isinstance(event, Opened):
            self._next_number = max(self._next_number, event.standing.last_number + 1)


def _in_time(job: AnyJob) -> Any:
    if not job.answer.done():
        raise SpoolFault(
            SpoolFaultKind.HUNG,
            f"the spool did not answer for {TIMEOUT_SECONDS:g} s: a damaged one is being saved, as"
            " the log says, or its disk hangs; look into the kernel's log",
        )
    return job.answer.result()
