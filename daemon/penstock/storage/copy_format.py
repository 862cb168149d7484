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

_READING = np.dtype(
    [
        ("fields", ">i2"),
        ("series_id_bytes", ">i4"),
        ("series_id", ">i4"),
        ("quality_bytes", ">i4"),
        ("quality", ">i2"),
        ("ts_bytes", ">i4"),
        ("ts", ">i8"),
        ("value_bytes", ">i4"),
        ("value", ">f8"),
    ]
)
_BLANK_READING = np.array([(4, 4, 0, 2, 0, 8, 0, 8, 0)], dtype=_READING).view(np.uint8)
_TEXT_READING = struct.Struct(">hiiiqi")


def encode_readings(
    series_ids: NDArray[np.int32],
    quality: NDArray[np.int16],
    ts_us: NDArray[np.int64],
    value: NDArray[np.float64],
) -> memoryview:
    """Rows of `READINGS_COLUMNS`; `PoisonError` for a timestamp before `OLDEST_US`."""
    _check_times(ts_us)
    rows = len(series_ids)
    data = np.empty(len(_HEADER) + rows * _READING.itemsize + len(_TRAILER), dtype=np.uint8)
    data[: len(_HEADER)] = np.frombuffer(_HEADER, dtype=np.uint8)
    data[-len(_TRAILER) :] = np.frombuffer(_TRAILER, dtype=np.uint8)
    body = data[len(_HEADER) : -len(_TRAILER)]
    body.reshape(rows, _READING.itemsize)[:] = _BLANK_READING
    fields = body.view(_READING)
    fields["series_id"] = series_ids
    fields["quality"] = quality
    fields["ts"] = ts_us - POSTGRES_EPOCH_US
    fields["value"] = value
    return data.data


def encode_text_readings(
    series_ids: NDArray[np.int32], ts_us: NDArray[np.int64], values: Iterable[str]
) -> memoryview:
    """Rows of `READINGS_TEXT_COLUMNS`.

    Errors: `PoisonError` as for numbers; `UnicodeEncodeError` for half of a surrogate pair.
    """
    _check_times(ts_us)
    parts = [_HEADER]
    times = (ts_us - POSTGRES_EPOCH_US).tolist()
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


def _check_times(ts_us: NDArray[np.int64]) -> None:
    if len(ts_us) and int(ts_us.min()) < OLDEST_US:
        raise PoisonError(DATETIME_FIELD_OVERFLOW, "a timestamp is older than PostgreSQL can hold")
