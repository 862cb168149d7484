"""The spool's thread: does what is asked of its files, many appends in one commit.

What always holds: the files are touched by this thread alone, from opening to closing; whatever
waits when a commit ends shares the next one; and events and answers reach the event loop in the
order in which the file changed.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from penstock.clock import Clock
from penstock.spool.disk import Disk
from penstock.spool.jobs import AnyJob, Append, Event, Probe, Read, Remove, SetAside
from penstock.spool.quota import Quota

GROUP_JOBS = 256
GROUP_BYTES = 4 * 1024 * 1024
"""Jobs in one commit, and about how many bytes they add, at most."""


class Worker:
    """The thread, from `start` to `stop`."""

    def __init__(
        self, path: Path, quota: Quota, clock: Clock, tell: Callable[[Event], None]
    ) -> None:
        """`tell` is called in the event loop, before the answers to the jobs that it is about."""
        self._disk = Disk(path, quota, clock, lambda event: self._in_loop(tell, event))
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[AnyJob | None] = SimpleQueue()
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
        self._disk.close()

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
        if self._disk.full:
            # What is removed makes room for what is added, unless it fails with it.
            self._change([], removes)
            self._change(appends, [])
        else:
            self._change(appends, removes)
        for job in jobs:
            match job:
                case Read():
                    self._attempt([job], self._disk.read, job.after, job.max_rows, job.max_bytes)
                case SetAside():
                    self._attempt([job], self._disk.set_aside, job.record)
                case Probe():
                    self._attempt([job], self._disk.probe)
                case Append() | Remove():
                    pass

    def _change(self, appends: Sequence[Append], removes: Sequence[Remove]) -> None:
        if appends or removes:
            records = [job.record for job in appends]
            numbers = [number for job in removes for number in job.numbers]
            self._attempt([*appends, *removes], self._disk.write, records, numbers)

    def _attempt(
        self, jobs: Sequence[AnyJob], work: Callable[..., object], *arguments: object
    ) -> None:
        """Answer all `jobs` with what `work` returns or raises."""
        try:
            answer = work(*arguments)
        except Exception as error:  # noqa: BLE001 - whoever asked has to hear of it
            self._disk.failed(error)
            for job in jobs:
                self._in_loop(_set_exception, job.answer, error)
        else:
            for job in jobs:
                self._in_loop(_set_result, job.answer, answer)

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        # The loop may end before a disk that hangs does, and then nobody is left to be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)


def _set_result(answer: asyncio.Future[object], result: object) -> None:
    if not answer.done():
        answer.set_result(result)


def _set_exception(answer: asyncio.Future[object], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
