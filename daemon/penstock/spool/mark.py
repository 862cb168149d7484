"""How far the spool had come, beside it, so that what damage took away is noticed.

A file or a log that lost its end is a whole one to SQLite, only older. The mark is written after
each commit and never synced: it outlasts the process, and after a power cut it may lag behind the
spool. What always holds: it is never ahead of what was committed, so a spool that is behind its
mark has lost something.
"""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_MARK = struct.Struct("<8s5QL")
_SIGNATURE = b"penstock"


class Mark(NamedTuple):
    """A spool as it stood after a commit."""

    commits: int
    """So many since it was made."""
    last_number: int
    """The highest that a record had."""
    oldest_number: int
    """That of its oldest record; one more than `last_number` when it was empty."""
    batches: int
    rows: int


def mark_of(spool: Path) -> Path:
    """Where the mark of a spool is."""
    return spool.with_name(f"{spool.name}.mark")


def read_mark(spool: Path) -> Mark | None:
    """The mark, if there is one that can be read."""
    with suppress(OSError, struct.error):
        signature, *fields, crc = _MARK.unpack(mark_of(spool).read_bytes())
        mark = Mark(*fields)
        if (signature, crc) == (_SIGNATURE, _crc(mark)):
            return mark
    return None


def write_mark(spool: Path, mark: Mark) -> None:
    """Set the mark. Where that fails the one before stays, which only lags behind."""
    with suppress(OSError):
        descriptor = os.open(mark_of(spool), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, _MARK.pack(_SIGNATURE, *mark, _crc(mark)), 0)
        finally:
            os.close(descriptor)


def _crc(mark: Mark) -> int:
    return zlib.crc32(struct.pack("<5Q", *mark))
