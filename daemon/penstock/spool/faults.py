"""Says of every error that the spool's files can raise what it is and what to do about it.

This is the only place that decides so. What always holds: an error is `SpoolFault`, which the code
above takes as "not now": the daemon goes on as if it had no spool, and tries again.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from penstock.errors import Retryable
from penstock.observability.metrics import SpoolFaultKind


class SpoolFault(Retryable):
    """The spool did not do the work now."""

    def __init__(self, kind: SpoolFaultKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class _Verdict(NamedTuple):
    kind: SpoolFaultKind
    advice: str


_DISK_FULL = _Verdict(
    SpoolFaultKind.DISK_FULL, "the disk of the spool is full; free space on it, or enlarge it"
)
_READ_ONLY = _Verdict(
    SpoolFaultKind.READ_ONLY,
    "the spool cannot be written; mount its disk read-write, and let the user who runs the daemon"
    " own the file and its folder",
)
_PERMISSION = _Verdict(
    SpoolFaultKind.PERMISSION,
    "the spool cannot be opened; spool.path must name a file, and its folder must exist, and belong"
    " to the user who runs the daemon",
)
_INPUT_OUTPUT = _Verdict(
    SpoolFaultKind.IO_ERROR,
    "the disk of the spool fails; look into the kernel's log, and replace it",
)
_DAMAGED = _Verdict(SpoolFaultKind.DAMAGED, "the spool is damaged")
_LOCKED = _Verdict(
    SpoolFaultKind.LOCKED, "another program holds the spool; end it, or give it another spool.path"
)
_OTHER = _Verdict(SpoolFaultKind.OTHER, "the spool does not work")

_BY_SQLITE = {
    sqlite3.SQLITE_FULL: _DISK_FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _PERMISSION,
    sqlite3.SQLITE_PERM: _PERMISSION,
    sqlite3.SQLITE_AUTH: _PERMISSION,
    sqlite3.SQLITE_IOERR: _INPUT_OUTPUT,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
}
"""By SQLite's primary result code (https://sqlite.org/rescode.html)."""

_BY_ERRNO = {
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.EFBIG: _DISK_FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOENT: _PERMISSION,
    errno.ENOTDIR: _PERMISSION,
    errno.EISDIR: _PERMISSION,
    errno.EIO: _INPUT_OUTPUT,
}


@contextmanager
def judged() -> Iterator[None]:
    """Turn what SQLite or the file system raises into `SpoolFault`."""
    try:
        yield
    except MemoryError as error:
        # What becomes of SQLITE_NOMEM as well.
        raise SpoolFault(SpoolFaultKind.OTHER, f"{_OTHER.advice} (no memory is left)") from error
    except (sqlite3.Error, OSError) as error:
        raise judge(error) from error


def damaged(what: str) -> SpoolFault:
    """The fault of a file that does not hold what was written."""
    return SpoolFault(SpoolFaultKind.DAMAGED, f"{_DAMAGED.advice}: {what}")


def judge(error: sqlite3.Error | OSError) -> SpoolFault:
    """The fault that the code above is to see in place of `error`."""
    if isinstance(error, OSError):
        verdict = _BY_ERRNO.get(error.errno or 0, _OTHER)
        return SpoolFault(verdict.kind, f"{verdict.advice} ({error.strerror}: {error.filename})")
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    # The low byte of an extended result code is the primary one.
    verdict = _OTHER if code is None else _BY_SQLITE.get(code & 0xFF, _OTHER)
    return SpoolFault(verdict.kind, f"{verdict.advice} ({name}: {error})")
