"""Every fault of the disk has its kind, and says what to do."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.faults import judge
from penstock.spool.file import SpoolFile

SQLITE = {
    sqlite3.SQLITE_FULL: SpoolFaultKind.DISK_FULL,
    sqlite3.SQLITE_READONLY: SpoolFaultKind.READ_ONLY,
    sqlite3.SQLITE_READONLY_DIRECTORY: SpoolFaultKind.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: SpoolFaultKind.PERMISSION,
    sqlite3.SQLITE_IOERR_FSYNC: SpoolFaultKind.IO_ERROR,
    sqlite3.SQLITE_IOERR_READ: SpoolFaultKind.IO_ERROR,
    sqlite3.SQLITE_CORRUPT: SpoolFaultKind.DAMAGED,
    sqlite3.SQLITE_CORRUPT_INDEX: SpoolFaultKind.DAMAGED,
    sqlite3.SQLITE_NOTADB: SpoolFaultKind.DAMAGED,
    sqlite3.SQLITE_BUSY: SpoolFaultKind.LOCKED,
    sqlite3.SQLITE_NOMEM: SpoolFaultKind.OTHER,
}
SYSTEM = {
    errno.ENOSPC: SpoolFaultKind.DISK_FULL,
    errno.EDQUOT: SpoolFaultKind.DISK_FULL,
    errno.EROFS: SpoolFaultKind.READ_ONLY,
    errno.EACCES: SpoolFaultKind.PERMISSION,
    errno.ENOENT: SpoolFaultKind.PERMISSION,
    errno.EIO: SpoolFaultKind.IO_ERROR,
    errno.EMFILE: SpoolFaultKind.OTHER,
}


@pytest.mark.parametrize("code", SQLITE)
def test_what_sqlite_says_is_judged_by_its_code(code: int) -> None:
    error = sqlite3.OperationalError("what it says")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_NAME"
    fault = judge(error)
    assert fault.kind is SQLITE[code]
    assert str(fault).endswith("(SQLITE_NAME: what it says)")


@pytest.mark.parametrize("number", SYSTEM)
def test_what_the_system_says_is_judged_by_its_number(number: int) -> None:
    fault = judge(OSError(number, os.strerror(number), "/var/lib/penstock/spool.db"))
    assert fault.kind is SYSTEM[number]
    assert os.strerror(number) in str(fault)


def test_an_error_without_a_code_is_another_fault() -> None:
    assert judge(sqlite3.ProgrammingError("closed")).kind is SpoolFaultKind.OTHER


def test_each_commit_is_synced_and_nothing_is_shared_through_the_file_system(
    tmp_path: Path,
) -> None:
    file = SpoolFile(tmp_path / "spool.db")
    found = {
        name: file._connection.execute(f"pragma {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "locking_mode")
    }
    assert found == {"journal_mode": b"wal", "synchronous": 2, "locking_mode": b"exclusive"}
    assert not (tmp_path / "spool.db-shm").exists()
    file.close()
