"""The spool's write-ahead log, for the two things that SQLite does not do with it.

SQLite takes every log that it can read for one that is on the disk, and forgets what follows the
first frame that is not whole. So, before SQLite opens a log, all of it is written and synced again;
and where its end turns out to be missing, the pages in it are given out whatever their checksums
say, because every batch has one of its own.

Format: https://sqlite.org/fileformat2.html#the_write_ahead_log
"""

import os
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.spool.faults import judged

_HEADER = struct.Struct(">8L")
"""Magic number, version, bytes of a page, checkpoint, two salts, two sums."""
_FRAME = struct.Struct(">6L")
"""Page number, pages of the file after a commit or 0, two salts, two sums; the page follows."""
_MAGIC = {0x377F0682, 0x377F0683}


def log_of(spool: Path) -> Path:
    """Where the log of a spool is, if there is one."""
    return spool.with_name(f"{spool.name}-wal")


def renew_log(spool: Path) -> bytes:
    """Put all of the log on the disk, and return it; nothing when there is none.

    After an fsync that failed the kernel shows pages that it has given up writing, and the next
    fsync says that all is well (https://wiki.postgresql.org/wiki/Fsync_Errors). Frames that SQLite
    finds so, and builds upon, could be missing after a power cut, with everything behind them.
    Errors: `SpoolFault`.
    """
    with judged():
        try:
            descriptor = os.open(log_of(spool), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        with os.fdopen(descriptor, "r+b") as file:
            log = file.read()
            file.seek(0)
            file.write(log)
            file.flush()
            os.fsync(descriptor)
    return log


def restore_log(spool: Path, log: bytes) -> None:
    """Put a log back that SQLite has removed after reading less than all of it. `SpoolFault`."""
    if log and not log_of(spool).exists():
        with judged(), log_of(spool).open("wb") as file:
            file.write(log)
            file.flush()
            os.fsync(file.fileno())


def pages_in_log(log: bytes, page_bytes: int) -> Mapping[int, Sequence[int]]:
    """Where each page is in the log, the latest version last; a commit that broke off is included.

    Frames of an earlier round follow those that count, so what is before any of these is damaged at
    worst.
    """
    salts = _salts(log)
    frames = [
        (start + _FRAME.size, _FRAME.unpack_from(log, start))
        for start in range(_HEADER.size, len(log) - _FRAME.size, _FRAME.size + page_bytes)
    ]
    counted = max((n for n, (_, frame) in enumerate(frames, 1) if frame[2:4] == salts), default=0)
    pages: dict[int, list[int]] = defaultdict(list)
    for offset, (page, *_) in frames[:counted]:
        pages[page].append(offset)
    return pages


def _salts(log: bytes) -> tuple[int, int] | None:
    """What marks the frames that count."""
    if len(log) < _HEADER.size + _FRAME.size:
        return None
    magic, _, _, _, *salts, _, _ = _HEADER.unpack_from(log)
    first = _FRAME.unpack_from(log, _HEADER.size)[2:4]
    return (salts[0], salts[1]) if magic in _MAGIC and salts != [0, 0] else first
