"""Saves what can be read of a damaged spool into a new one.

What always holds: the damaged file is moved aside under a name with the time, never deleted; a
record is saved only when its checksum fits; and a crash at any point leaves either the damaged file
in its place, to be salvaged again, or the new one, whole.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import structlog

from penstock.spool.codec import Record, Unreadable, decode_body, decode_label, relabelled
from penstock.spool.faults import judge, judged
from penstock.spool.file import PAGE_BYTES, SpoolFile
from penstock.spool.quarantine import set_aside, sync_folder

log = structlog.get_logger(__name__)

GROUP_BYTES = 16 * 1024 * 1024
FRUITLESS_NUMBERS = 100_000
"""So many numbers in a row without a record end the search."""


_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
}


class Salvaged(msgspec.Struct, frozen=True):
    """What came of a damaged spool."""

    aside: Path
    """Where the damaged file is now."""
    batches: int
    """Saved into the new one."""
    quarantined: int
    """Set aside because neither what they hold nor what they count can be read."""


def finish_salvage(path: Path) -> None:
    """Put the new file in its place where a crash came in between, and forget an unfinished one."""
    draft = _draft(path)
    with judged():
        if draft.exists() and not path.exists():
            draft.replace(path)
        _remove(draft)


def salvage(path: Path, moment: str) -> Salvaged:
    """Save what can be read of the spool at `path`, which nobody may have open.

    `moment` becomes part of the name that the damaged file is moved to.
    Errors: `SpoolFault`; the damaged file is still in its place then.
    """
    draft = _draft(path)
    with judged():
        _remove(draft)
        if not _readable_as_database(path):
            _graft_first_page(path, draft)
    target = SpoolFile(draft)
    try:
        batches, quarantined = _copy(path, target)
        target.close()
    except BaseException:
        target.abandon()
        raise
    aside = path.with_name(f"{path.name}.damaged-{moment}")
    with judged():
        for suffix in ("-wal", ".first-page"):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
        path.replace(aside)
        draft.replace(path)
        sync_folder(path.parent)
    return Salvaged(aside, batches, quarantined)


def _copy(path: Path, target: SpoolFile) -> tuple[int, int]:
    """Copy what is readable; returns how many records were saved, and how many set aside."""
    group: list[Record] = []
    saved = 0
    aside: set[int] = set()
    with judged(), closing(_connect(path)) as connection:
        for record in _records(connection):
            sound = _sound(record)
            if sound is None:
                set_aside(path, record)
                aside.add(record.number)
                continue
            group.append(sound)
            saved += 1
            if sum(one.size_bytes for one in group) >= GROUP_BYTES:
                target.write(group, [])
                group = []
    target.write(group, [])
    return saved, len(aside)


def _sound(record: Record) -> Record | None:
    """The record with a label that fits, or nothing when it cannot even be accounted for."""
    try:
        decode_label(record.number, record.label)
    except Unreadable:
        try:
            contents = decode_body(record.number, record.body)
        except Unreadable:
            return None
        return relabelled(record, contents)
    return record


def _records(connection: sqlite3.Connection) -> Iterator[Record]:
    """Every record that SQLite still finds, in order, whatever their checksums say."""
    highest = _highest_number(connection)
    after = fruitless = 0
    while fruitless < FRUITLESS_NUMBERS and (highest is None or after < highest):
        try:
            row = connection.execute(
                "select number, label, body from batches where number > ? order by number limit 1",
                (after,),
            ).fetchone()
        except sqlite3.Error as error:
            _raise_unless_damage(error)
            row = ()
        if row is None:
            return
        record = _record(row)
        if record is not None and record.number > after and _trusted(record):
            after, fruitless = record.number, 0
            yield record
            continue
        after, fruitless = after + 1, fruitless + 1
        if record is not None and record.number == after:
            yield record


def _record(row: tuple[object, ...]) -> Record | None:
    match row:
        case (int() as number, bytes() as label, bytes() as body):
            return Record(number, label, body)
        case _:
            return None


def _trusted(record: Record) -> bool:
    """Whether the number is the record's own: a damaged one could lead past all the others."""
    return _sound(record) is not None


def _highest_number(connection: sqlite3.Connection) -> int | None:
    try:
        (number,) = connection.execute("select max(number) from batches").fetchone()
    except sqlite3.Error as error:
        _raise_unless_damage(error)
        return None
    return number if isinstance(number, int) else 0


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    # Else a file shared in memory would be made beside it.
    connection.execute("pragma locking_mode = exclusive")
    connection.execute("pragma cell_size_check = on")
    return connection


def _readable_as_database(path: Path) -> bool:
    try:
        with closing(_connect(path)) as connection:
            connection.execute("select number from batches limit 0")
            connection.execute("select 1 from sqlite_schema").fetchall()
    except sqlite3.Error as error:
        _raise_unless_damage(error)
        return False
    return True


def _raise_unless_damage(error: sqlite3.Error) -> None:
    """Only what the file itself is to blame for may be passed over."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code & 0xFF not in _DAMAGE and code not in _DAMAGE:
        raise judge(error) from error


def _graft_first_page(path: Path, draft: Path) -> None:
    """Replace a damaged first page by that of an empty spool, which has the same tables.

    The page itself is kept beside the file. Every other page is as it was.
    """
    blank = SpoolFile(draft)
    blank.close()
    page = bytearray(draft.read_bytes()[:PAGE_BYTES])
    _remove(draft)
    # The number of pages is then taken from the file's size (https://sqlite.org/fileformat2.html).
    page[92:96] = bytes(4)
    with path.open("r+b") as file:
        Path(f"{path}.first-page").write_bytes(file.read(PAGE_BYTES))
        file.seek(0)
        file.write(page)


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".salvage")


def _remove(path: Path) -> None:
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-journal")):
        file.unlink(missing_ok=True)
