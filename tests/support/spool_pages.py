"""Which batches of a spool lie where in its files, as SQLite itself tells.

What always holds: a batch lies on a page when any of its bytes do, so damage to a page can excuse
the loss of these batches and of no others.

Format: https://sqlite.org/dbstat.html, https://sqlite.org/fileformat2.html
"""

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24


class SpoolPages:
    """Where the batches of one undamaged spool are."""

    def __init__(self, spool: Path, log: bytes) -> None:
        """Look at a spool that nobody has open; `log` is its write-ahead log, before this."""
        with closing(sqlite3.connect(spool)) as connection:
            connection.execute("pragma locking_mode = exclusive")
            self._page_bytes = int(connection.execute("pragma page_size").fetchone()[0])
            self._batches = _batches_by_page(connection)
        self._frames = _pages_of_frames(log, self._page_bytes)

    def at(self, offset: int, *, in_log: bool) -> set[int]:
        """The numbers of the batches on the page where the byte at `offset` is."""
        place = self._place(offset, in_log=in_log)
        return self._on(self._frames[place : place + 1] if in_log else [place + 1])

    def behind(self, offset: int, *, in_log: bool) -> set[int]:
        """The numbers of the batches on the pages that an end at `offset` cuts off."""
        place = self._place(offset, in_log=in_log)
        return self._on(self._frames[place:] if in_log else [p for p in self._batches if p > place])

    def _place(self, offset: int, *, in_log: bool) -> int:
        """How many whole pages or frames are before the one with the byte at `offset`."""
        if not in_log:
            return offset // self._page_bytes
        return max(0, offset - _LOG_HEADER_BYTES) // (_FRAME_HEADER_BYTES + self._page_bytes)

    def _on(self, pages: list[int]) -> set[int]:
        return set().union(*(self._batches[page] for page in pages if page in self._batches))


def _batches_by_page(connection: sqlite3.Connection) -> dict[int, set[int]]:
    numbers = [n for (n,) in connection.execute("select number from batches order by number")]
    pages: dict[int, set[int]] = defaultdict(set)
    rows_of_leaf: dict[str, list[int]] = {}
    stat = "select path, pageno, ncell from dbstat where name = 'batches' and pagetype = ?"
    # A path says in hexadecimal which child of which child it is; they are in order.
    for path, page, cells in sorted(connection.execute(stat, ("leaf",)).fetchall()):
        rows_of_leaf[path], numbers = numbers[:cells], numbers[cells:]
        pages[page].update(rows_of_leaf[path])
    for path, page, _ in connection.execute(stat, ("overflow",)):
        # `/leaf/cell+place`, the cell with three digits
        cell = path.rpartition("+")[0]
        pages[page].add(rows_of_leaf[cell[:-3]][int(cell[-3:], 16)])
    return dict(pages)


def _pages_of_frames(log: bytes, page_bytes: int) -> list[int]:
    """The page that each frame of a log is a version of."""
    starts = range(_LOG_HEADER_BYTES, len(log), _FRAME_HEADER_BYTES + page_bytes)
    return [int.from_bytes(log[start : start + 4], "big") for start in starts]
