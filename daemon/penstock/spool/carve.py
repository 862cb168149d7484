"""Finds the records in the pages of a damaged spool, without SQLite.

Every page is looked at by itself, so what is lost with a page is what lies on that page. What was
removed from the spool and not yet overwritten is found as well, and a record may be found more than
once, or not as it was written: whoever takes it checks it.

Format: https://sqlite.org/fileformat2.html#b_tree_pages
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from penstock.spool.database import PAGE_BYTES
from penstock.spool.faults import judged
from penstock.spool.label import Record
from penstock.spool.log import pages_in_log

_LEAF = 0x0D
"""The kind of page that holds rows of a table."""
_FILE_HEADER_BYTES = 100
_LEAF_HEADER_BYTES = 8
_POINTER_BYTES = 2
_NEXT_PAGE_BYTES = 4
_LARGEST_LOCAL = PAGE_BYTES - 35
_SMALLEST_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_LARGEST_RECORD_BYTES = 256 * 1024 * 1024
_BLOB = 12
"""The smallest type of a column that is a BLOB: one of no bytes."""

_PageOf = Callable[[int], bytes | None]


def carve(spool: Path, log: bytes) -> Iterator[Record]:
    """Every record in a file and its log, page by page. Errors: `SpoolFault`."""
    with judged(), spool.open("rb") as file:
        pages = _Pages(file.fileno(), log)
        for number in pages.numbers():
            start = _FILE_HEADER_BYTES if number == 1 else 0
            for page in pages.versions(number):
                yield from _records(page, start, pages.latest)
                if log:
                    # A damaged page number in the log may have put another page in its place.
                    yield from _records(page, start, pages.last_but_one)


class _Pages:
    """The pages of a file, those in its log before its own."""

    def __init__(self, descriptor: int, log: bytes) -> None:
        self._descriptor = descriptor
        self._log = log
        self._logged: Mapping[int, Sequence[int]] = pages_in_log(log, PAGE_BYTES)
        self._in_file_pages = -(-os.fstat(descriptor).st_size // PAGE_BYTES)

    def numbers(self) -> Iterator[int]:
        """Those of all pages."""
        yield from range(1, self._in_file_pages + 1)
        yield from (number for number in self._logged if number > self._in_file_pages)

    def versions(self, number: int) -> Iterator[bytes]:
        """All that a page has been since the log began: any but the last may be whole."""
        yield self._in_file(number)
        for offset in self._logged.get(number, ()):
            yield self._in_log(offset)

    def latest(self, number: int) -> bytes | None:
        """What a page is now; `None` where there is no such page."""
        return self._version(number, 1)

    def last_but_one(self, number: int) -> bytes | None:
        """What it was before."""
        return self._version(number, 2)

    def _version(self, number: int, from_end: int) -> bytes | None:
        offsets = self._logged.get(number, ())
        if len(offsets) >= from_end:
            return self._in_log(offsets[-from_end])
        return self._in_file(number) if 0 < number <= self._in_file_pages else None

    def _in_file(self, number: int) -> bytes:
        page = os.pread(self._descriptor, PAGE_BYTES, (number - 1) * PAGE_BYTES)
        return page.ljust(PAGE_BYTES, b"\0")

    def _in_log(self, offset: int) -> bytes:
        return self._log[offset : offset + PAGE_BYTES].ljust(PAGE_BYTES, b"\0")


def _records(page: bytes, start: int, page_of: _PageOf) -> Iterator[Record]:
    if page[start] != _LEAF:
        return
    pointers = start + _LEAF_HEADER_BYTES
    cells = int.from_bytes(page[start + 3 : start + 5])
    for place in range(pointers, min(pointers + cells * _POINTER_BYTES, PAGE_BYTES), 2):
        try:
            record = _record(page, int.from_bytes(page[place : place + _POINTER_BYTES]), page_of)
        except IndexError:
            continue
        if record is not None:
            yield record


def _record(page: bytes, start: int, page_of: _PageOf) -> Record | None:
    """The row of a cell; `IndexError` where the page ends before it does."""
    size_bytes, start = _varint(page, start)
    number, start = _varint(page, start)
    if size_bytes > _LARGEST_RECORD_BYTES:
        return None
    payload = _payload(page, start, size_bytes, page_of)
    header_bytes, place = _varint(payload, 0)
    key, place = _varint(payload, place)
    label, place = _varint(payload, place)
    body, place = _varint(payload, place)
    is_record = key == 0 and place == header_bytes and label % 2 == body % 2 == 0
    if not is_record or min(label, body) < _BLOB:
        return None
    split = header_bytes + (label - _BLOB) // 2
    end = split + (body - _BLOB) // 2
    return Record(number, payload[header_bytes:split], payload[split:end])


def _payload(page: bytes, start: int, size_bytes: int, page_of: _PageOf) -> bytes:
    """What a cell holds, as far as its chain of overflow pages can be followed."""
    local_bytes = _local_bytes(size_bytes)
    parts = [page[start : start + local_bytes]]
    left_bytes = size_bytes - local_bytes
    place = start + local_bytes
    overflow = page[place : place + _NEXT_PAGE_BYTES]
    while left_bytes > 0 and (content := page_of(int.from_bytes(overflow))):
        overflow = content[:_NEXT_PAGE_BYTES]
        parts.append(content[_NEXT_PAGE_BYTES : _NEXT_PAGE_BYTES + left_bytes])
        left_bytes -= PAGE_BYTES - _NEXT_PAGE_BYTES
    return b"".join(parts)


def _local_bytes(size_bytes: int) -> int:
    """How much of a payload is on the page itself."""
    if size_bytes <= _LARGEST_LOCAL:
        return size_bytes
    rest = (size_bytes - _SMALLEST_LOCAL) % (PAGE_BYTES - _NEXT_PAGE_BYTES)
    return _SMALLEST_LOCAL + rest if _SMALLEST_LOCAL + rest <= _LARGEST_LOCAL else _SMALLEST_LOCAL


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends; `IndexError` where the data ends before."""
    value = 0
    for place in range(start, start + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    value = value << 8 | data[start + 8]
    return (value - 2**64 if value >= 2**63 else value), start + 9
