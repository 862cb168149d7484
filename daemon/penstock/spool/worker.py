"""The spool's thread: does what is asked of the file, many appends in one commit.

What always holds: the file is touched by this thread alone, from opening to closing; whatever waits
when a commit ends shares the next one; events and answers reach the event loop in the order in
which the file changed; and after a fault the file is closed, and opened anew for the next job. A
file that turned out to be damaged is salvaged then.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import msgspec

from penstock.clock import Clock
from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.codec import Record
from penstock.spool.faults import SpoolFault
from penstock.spool.file import Filed, SpoolFile, Standing
from penstock.spool.lock import SpoolLock
from penstock.spool.quarantine import set_aside
from penstock.spool.quota import Quota
from penstock.spool.reserve import Reserve
from penstock.spool.salvage import Salvaged, finish_salvage, salvage

GROUP_JOBS = 256
GROUP_BYTES = 4 * 1024 * 1024
"""Jobs in one commit, and about how many bytes they add, at most."""

Answer = TypeVar("Answer")


class Job(Generic[Answer]):
    """Something asked of the thread, and the answer to come."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Append(Job[None]):
    """Put a record on the disk."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record


class Remove(Job[None]):
    """Take records from the disk."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self.numbers = numbers


class Read(Job[list[Record]]):
    """Read the records after a number, up to so many rows and bytes but one."""

    def __init__(self, after: int, max_rows: int, max_bytes: int) -> None:
        super().__init__()
        self.after = after
        self.max_rows = max_rows
        self.max_bytes = max_bytes


class SetAside(Job[Path]):
    """Move an unreadable record into the quarantine; the answer is its file."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record


class Probe(Job[None]):
    """See whether the file can be opened and written."""


AnyJob = Append | Remove | Read | SetAside | Probe


class Opened(msgspec.Struct, frozen=True):
    """The file was opened: what is in it now, by tenant and in all."""

    readings: dict[str | None, int]
    standing: Standing
    salvaged: Salvaged | None


class Written(msgspec.Struct, frozen=True):
    """A commit ended."""

    standing: Standing
    commit_seconds: float
    dropped: Sequence[Filed]
    """Records that had to make room."""


Event = Opened | Written


class Worker:
    """The thread, from `start` to `stop`."""

    def __init__(
        self, path: Path, quota: Quota, clock: Clock, tell: Callable[[Event], None]
    ) -> None:
        """`tell` is called in the event loop, before the answers to the jobs that it is about."""
        self._path = path
        self._quota = quota
        self._clock = clock
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[AnyJob | None] = SimpleQueue()
        self._lock: SpoolLock | None = None
        self._file: SpoolFile | None = None
        self._damaged = False
        self._disk_full = False
        self._reserve = Reserve(path)
        self._last_read = 0
        # A daemon thread, so that a disk that hangs cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: AnyJob) -> None:
        """Have something done; `job.answer` is set in the event loop."""
        self._jobs.put(job)

    async def stop(self, timeout_seconds: float) -> bool:
        """Finish what was submitted and close the file; false when that takes too long."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while jobs := self._next_jobs():
            self._do(jobs)
        self._close()

    def _next_jobs(self) -> list[AnyJob]:
        """What waits, at least one job; nothing at the end."""
        jobs: list[AnyJob] = []
        size_bytes = 0
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            size_bytes += job.record.size_bytes if isinstance(job, Append) else 0
            if len(jobs) == GROUP_JOBS or size_bytes >= GROUP_BYTES:
                return jobs
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return jobs
        if jobs:
            self._jobs.put(None)
        return jobs

    def _do(self, jobs: Sequence[AnyJob]) -> None:
        """Do a group of jobs: the changes in one commit, then the others one by one."""
        appends = [job for job in jobs if isinstance(job, Append)]
        removes = [job for job in jobs if isinstance(job, Remove)]
        if self._disk_full:
            # What is removed makes room for what is added, unless it fails with it.
            self._change([], removes)
            self._change(appends, [])
        else:
            self._change(appends, removes)
        for job in jobs:
            match job:
                case Read():
                    self._attempt([job], self._read, job)
                case SetAside():
                    self._attempt([job], self._set_aside, job)
                case Probe():
                    self._attempt([job], self._probe)
                case Append() | Remove():
                    pass

    def _change(self, appends: Sequence[Append], removes: Sequence[Remove]) -> None:
        if appends or removes:
            self._attempt([*appends, *removes], self._write, appends, removes)

    def _attempt(
        self, jobs: Sequence[AnyJob], work: Callable[..., object], *arguments: object
    ) -> None:
        """Answer all `jobs` with what `work` returns or raises."""
        try:
            answer = work(self._opened(), *arguments)
        except Exception as error:  # noqa: BLE001 - whoever asked has to hear of it
            self._failed(error)
            for job in jobs:
                self._in_loop(_set_exception, job.answer, error)
        else:
            for job in jobs:
                self._in_loop(_set_result, job.answer, answer)

    def _write(self, file: SpoolFile, appends: Sequence[Append], removes: Sequence[Remove]) -> None:
        if appends:
            self._reserve.hold()
            self._disk_full = False
        records = [job.record for job in appends]
        numbers = [number for job in removes for number in job.numbers]
        dropped: list[Filed] = []
        if records and self._quota.drops_oldest:
            dropped = self._surplus(file, sum(record.size_bytes for record in records))
        file.write(records, [*numbers, *(filed.number for filed in dropped)])
        self._written(file, dropped)

    def _probe(self, file: SpoolFile) -> None:
        self._reserve.hold()
        file.write([], [])

    def _surplus(self, file: SpoolFile, more_bytes: int) -> list[Filed]:
        """What has to make room; what was read may be stored by now, and is not dropped."""
        oldest = (filed for filed in file.oldest() if filed.number > self._last_read)
        size_bytes, now_us = file.standing.size_bytes, self._clock.now_us()
        return self._quota.surplus(size_bytes, oldest, more_bytes, now_us)

    def _read(self, file: SpoolFile, job: Read) -> list[Record]:
        found = file.read(job.after, job.max_rows, job.max_bytes)
        if found:
            self._last_read = max(self._last_read, found[-1].number)
        return found

    def _set_aside(self, file: SpoolFile, job: SetAside) -> Path:
        aside = set_aside(self._path, job.record)
        file.write([], [job.record.number])
        self._written(file, [])
        return aside

    def _opened(self) -> SpoolFile:
        """The file, opened and salvaged as need be."""
        if self._file is None:
            self._lock = self._lock or SpoolLock(self._path)
            finish_salvage(self._path)
            salvaged = self._salvage() if self._damaged else None
            try:
                self._file = SpoolFile(self._path)
            except SpoolFault as fault:
                if fault.kind is not SpoolFaultKind.DAMAGED:
                    raise
                salvaged = self._salvage()
                self._file = SpoolFile(self._path)
            self._damaged = False
            self._in_loop(self._tell, Opened(self._file.readings(), self._file.standing, salvaged))
        return self._file

    def _salvage(self) -> Salvaged:
        return salvage(self._path, str(self._clock.now_us()))

    def _failed(self, error: Exception) -> None:
        kind = error.kind if isinstance(error, SpoolFault) else None
        self._disk_full = kind is SpoolFaultKind.DISK_FULL
        self._damaged = self._damaged or kind is SpoolFaultKind.DAMAGED
        if self._file is not None and not self._disk_full:
            self._file.abandon()
            self._file = None
        if self._disk_full:
            with suppress(SpoolFault):
                self._reserve.release()

    def _close(self) -> None:
        if self._file is not None:
            self._file.abandon()
        if self._lock is not None:
            self._lock.release()

    def _written(self, file: SpoolFile, dropped: Sequence[Filed]) -> None:
        self._in_loop(self._tell, Written(file.standing, file.commit_seconds, dropped))

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)


def _set_result(answer: asyncio.Future[object], result: object) -> None:
    if not answer.done():
        answer.set_result(result)


def _set_exception(answer: asyncio.Future[object], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
