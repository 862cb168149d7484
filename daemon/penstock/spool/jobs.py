"""What is asked of the spool's thread, and what it tells of its own accord."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from penstock.spool.file import Filed, Standing
from penstock.spool.label import Record
from penstock.spool.salvage import Salvaged

Answer = TypeVar("Answer")


class Job(Generic[Answer]):
    """Something asked of the thread, and the answer to come."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        # Whoever asked may have given up waiting; the fault was counted for them then.
        self.answer.add_done_callback(_look_at)


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
    """See whether the file can be opened, and written to the disk."""


AnyJob = Append | Remove | Read | SetAside | Probe


class Lost(msgspec.Struct, frozen=True):
    """What the spool held and is not there."""

    batches: int
    rows: int


class Opened(msgspec.Struct, frozen=True):
    """The file was opened."""

    more_readings: dict[str | None, int]
    """So many more are in it than when it was last used, by tenant; negative when fewer."""
    standing: Standing
    salvaged: Salvaged | None
    lost: Lost | None


class Written(msgspec.Struct, frozen=True):
    """A commit ended."""

    standing: Standing
    commit_seconds: float
    dropped: Sequence[Filed]
    """Records that had to make room."""


Event = Opened | Written


def _look_at(answer: asyncio.Future[Answer]) -> None:
    if not answer.cancelled():
        answer.exception()
