"""Encodes rows as PostgreSQL's binary COPY (PostgreSQL manual, COPY, "Binary Format").

A row is the count of its fields, then each field's length and bytes, big-endian. Numbers are laid
out by numpy, a column at a time, because a Python object a row would cost more than all the rest of
storing it.

What always holds: a dead letter is encodable and storable whatever it holds, since it is where
everything ends that is not; and a timestamp that PostgreSQL cannot hold is refused here, because
two of the values that it would decode to stand for infinity.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from penstock.errors import PoisonError
from penstock.model import DeadLetter

READINGS_COLUMNS = ("series_id", "quality", "ts", "value")
READINGS_TEXT_COLUMNS = ("series_id", "ts", "value")
DEAD_LETTER_COLUMNS = (
    "received_at", "tenant", "device", "topic", "payload", "reason", "detail", "sqlstate",
    "correlation_id",
)  # fmt: skip

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts, after the Unix epoch."""
OLDEST_US: Final = -210_866_803_200_000_000
"""4714-11-24 BC, PostgreSQL's oldest, after the Unix epoch; 64 bits hold none that is too new."""
DETAIL_BYTES: Final = 2_000
NAME_BYTES: Final = 512
"""A name of 128 characters has no more; an index takes 2,700."""
TOPIC_BYTES: Final = 65_535
"""MQTT 5 §1.5.4 allows no more; what escaping adds is cut."""

DATETIME_FIELD_OVERFLOW: Final = "22008"

_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)

_TEXT_READING = struct.Struct(">hiiiqi")


def encode_readings(
    series_ids: NDArray[np.int32],
    quality: NDArray[np.int16],
    ts_us: NDArray[np.int64],
    value: NDArray[np.float64],
) -> memoryview:
    """Rows of `READINGS_COLUMNS`; `PoisonError` for a timestamp before `OLDEST_US`."""
    return encode_columns(series_ids, quality, postgres_time(ts_us), value)


def encode_columns(*columns: NDArray[np.generic]) -> memoryview:
    """Rows of fixed-size numbers, none of them null; all columns have the same length."""
    rows = len(columns[0])
    layout, blank = _layout(*(column.dtype for column in columns))
    data = np.empty(len(_HEADER) + rows * layout.itemsize + len(_TRAILER), dtype=np.uint8)
    data[: len(_HEADER)] = np.frombuffer(_HEADER, dtype=np.uint8)
    data[-len(_TRAILER) :] = np.frombuffer(_TRAILER, dtype=np.uint8)
    body = data[len(_HEADER) : -len(_TRAILER)]
    body.reshape(rows, layout.itemsize)[:] = blank
    fields = body.view(layout)
    for number, column in enumerate(columns):
        fields[f"value{number}"] = column
    return data.data


def postgres_time(ts_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Microseconds after the Unix epoch as those after PostgreSQL's; `PoisonError` if too old."""
    if len(ts_us) and int(ts_us.min()) < OLDEST_US:
        raise PoisonError(DATETIME_FIELD_OVERFLOW, "a timestamp is older than PostgreSQL can hold")
    return ts_us - POSTGRES_EPOCH_US


def encode_text_readings(
    series_ids: NDArray[np.int32], ts_us: NDArray[np.int64], values: Iterable[str]
) -> memoryview:
    """Rows of `READINGS_TEXT_COLUMNS`.

    Errors: `PoisonError` as for numbers; `UnicodeEncodeError` for half of a surrogate pair.
    """
    times = postgres_time(ts_us).tolist()
    parts = [_HEADER]
    for series_id, time, value in zip(series_ids.tolist(), times, values, strict=True):
        text = value.encode()
        parts += (_TEXT_READING.pack(3, 4, series_id, 8, time, len(text)), text)
    parts.append(_TRAILER)
    return memoryview(b"".join(parts))


def encode_dead_letters(letters: Sequence[DeadLetter]) -> memoryview:
    """Rows of `DEAD_LETTER_COLUMNS`, with every text made storable."""
    parts = [_HEADER]
    for letter in letters:
        received_us = max(letter.received_us, OLDEST_US) - POSTGRES_EPOCH_US
        parts.append(struct.pack(">hiq", len(DEAD_LETTER_COLUMNS), 8, received_us))
        parts += (
            _text_field(letter.tenant, NAME_BYTES),
            _text_field(letter.device, NAME_BYTES),
            _text_field(letter.topic, TOPIC_BYTES),
            _field(letter.payload),
            _text_field(letter.reason, NAME_BYTES),
            _text_field(letter.detail, DETAIL_BYTES),
            _text_field(letter.sqlstate, NAME_BYTES),
            _text_field(letter.correlation_id, NAME_BYTES),
        )
    parts.append(_TRAILER)
    return memoryview(b"".join(parts))


def storable(text: str, max_bytes: int) -> bytes:
    """`text` as PostgreSQL takes it: NUL and halves of surrogate pairs escaped, cut to size."""
    escaped = text.replace("\0", "\\x00").encode(errors="backslashreplace")
    if len(escaped) <= max_bytes:
        return escaped
    return escaped[:max_bytes].decode(errors="ignore").encode()


def _text_field(text: str | None, max_bytes: int) -> bytes:
    return _NULL if text is None else _field(storable(text, max_bytes))


def _field(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


@cache
def _layout(*types: np.dtype[np.generic]) -> tuple[np.dtype[np.void], NDArray[np.uint8]]:
    """The bytes of a row with fields of these types, and such a row with all values still 0."""
    fields = [("fields", ">i2")]
    for number, kind in enumerate(types):
        fields += [(f"bytes{number}", ">i4"), (f"value{number}", kind.newbyteorder(">").str)]
    layout = np.dtype(fields)
    blank = np.zeros(1, dtype=layout)
    blank["fields"] = len(types)
    for number, kind in enumerate(types):
        blank[f"bytes{number}"] = kind.itemsize
    return layout, blank.view(np.uint8)
