"""A spool's file on a disk that fails as it is told to, at the boundary of SQLite's commit."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from penstock.spool.faults import judge
from penstock.spool.file import SpoolFile
from penstock.spool.label import Record


class DiskFault(StrEnum):
    """What the disk does from now on."""

    NONE = "none"
    FULL = "full"
    """Nothing more fits on it; what is there can be removed."""
    FAILING = "failing"
    LYING = "lying"
    """What is committed is there, and the fsync says that it failed."""
    HANGING = "hanging"


class FaultyDisk:
    """The disk, as the event loop's thread sees it and as the spool's thread meets it."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.fault = DiskFault.NONE
        self.hangs = False
        """Whether the spool's thread is stuck in it."""
        self.copy_before: Path | None = None
        """Where the folder is to be copied before the next batches are written, once."""
        self.copy_after: Path | None = None
        """Where it is to be copied after that, before anybody hears of it."""
        self.loop = loop
        self._released = threading.Event()

    def becomes(self, fault: DiskFault) -> None:
        """Whoever hangs goes on, unless it goes on hanging."""
        self.fault = fault
        if fault is not DiskFault.HANGING:
            self.hangs = False
            self._released.set()
            self._released = threading.Event()

    def files(self) -> type[SpoolFile]:
        """What to open the spool's file with."""
        disk = self

        class FaultyFile(SpoolFile):
            def write(self, additions: Sequence[Record], removals: Iterable[int]) -> None:
                if additions and disk.copy_before:
                    copied(self.path.parent, disk.copy_before)
                    disk.copy_before = None
                disk.before_writing(additions)
                super().write(additions, removals)
                if additions and disk.copy_after:
                    copied(self.path.parent, disk.copy_after)
                    disk.copy_after = None
                if disk.fault is DiskFault.LYING:
                    raise _error(sqlite3.SQLITE_IOERR)

            def read(self, after: int, max_rows: int, max_bytes: int) -> list[Record]:
                if disk.fault is DiskFault.FAILING:
                    raise _error(sqlite3.SQLITE_IOERR)
                return super().read(after, max_rows, max_bytes)

        return FaultyFile

    def before_writing(self, additions: Sequence[Record]) -> None:
        if self.fault is DiskFault.HANGING:
            released, self.hangs = self._released, True
            assert self.loop is not None
            # The loop is to look again whether there is anything to wait for.
            self.loop.call_soon_threadsafe(lambda: None)
            released.wait()
        if self.fault is DiskFault.FAILING:
            raise _error(sqlite3.SQLITE_IOERR)
        if self.fault is DiskFault.FULL and additions:
            raise _error(sqlite3.SQLITE_FULL)


def copied(folder: Path, to: Path) -> None:
    """A folder as a process leaves it that is killed at this moment."""
    # The reserve is large, and made anew where it is missing.
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.reserve"))


def _error(code: int) -> Exception:
    error = sqlite3.OperationalError("as the test wants it")
    error.sqlite_errorcode = code
    error.sqlite_errorname = f"code {code}"
    return judge(error)
