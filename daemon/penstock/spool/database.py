"""Opens the SQLite database that a spool's file is.

What always holds: each commit is synced (WAL, synchronous=FULL); nothing is shared through the file
system (locking_mode=exclusive), where a full disk would be a crash; and the file of another program
is left as it is.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.faults import SpoolFault, damaged, judged

APPLICATION_ID = 0x50535031
"""Another layout of the tables gets another one, and other names."""
PAGE_BYTES = 16_384
CACHE_KIBIBYTES = 4_096
LOG_KEPT_BYTES = 4 * 1024 * 1024
"""A write-ahead log that became longer is shortened to this when it begins anew."""

# SQLite would copy its log by itself, and say nothing when that fails.
_SETUP = f"""
    pragma page_size = {PAGE_BYTES};
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma wal_autocheckpoint = 0;
    pragma journal_size_limit = {LOG_KEPT_BYTES};
    pragma cache_size = -{CACHE_KIBIBYTES};
    pragma mmap_size = 0;
    pragma temp_store = memory;
    pragma secure_delete = off;
    pragma cell_size_check = on;
    pragma trusted_schema = off;
"""

_TABLES = f"""
    begin immediate;
    create table batches (number integer primary key, label blob not null, body blob not null);
    create table counts (
        name blob primary key, amount integer not null, crc integer not null
    ) without rowid;
    pragma application_id = {APPLICATION_ID};
    commit;
"""
_NAMES = {b"batches", b"counts"}


def open_database(path: Path) -> sqlite3.Connection:
    """The database at `path`, with its tables, created where there is none.

    Errors: `SpoolFault`, of the kind `foreign` when it is another program's.
    """
    with judged():
        if not path.exists():
            # Every tenant's readings will be in it; SQLite gives its log the same mode.
            path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            # No text is ours, and damage may make one of anything.
            connection.text_factory = bytes
            connection.execute("pragma locking_mode = exclusive")
            # Before anything that would change the file of another program.
            is_new = _is_new(connection, path)
            connection.executescript(_SETUP)
            if is_new:
                connection.executescript(_TABLES)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.close()
            raise
    return connection


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing is in it yet; a fault when what is in it is not a spool."""
    (application,) = connection.execute("pragma application_id").fetchone()
    names = {name for (name,) in connection.execute("select name from sqlite_schema")}
    if not names and application == 0:
        return True
    if names == _NAMES and application == APPLICATION_ID:
        return False
    if names == _NAMES or application == APPLICATION_ID:
        raise damaged("its head is not what was written")
    raise foreign(path)


def foreign(path: Path) -> SpoolFault:
    """What to say of a file in which nothing is ours."""
    return SpoolFault(
        SpoolFaultKind.FOREIGN,
        f"{path} is not a spool, or one of another version of Penstock; move it away, or give"
        " another spool.path",
    )
