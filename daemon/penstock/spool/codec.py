"""A batch as bytes, and back.

Series are written by their names, because the database that numbers them may be down.

What always holds: a batch that is encoded and decoded is the same in all that is stored of it, down
to the bits of its floats; bytes that are not what `encode` made are `Unreadable`, never a batch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.errors import Reason
from penstock.model import Batch, DeadLetter, NumberColumns, SeriesKey, TextColumns
from penstock.spool.label import Record, Unreadable, encode_label, seal, unseal
from penstock.spool.text import decoded, encoded, to_bytes, to_text

FORMAT = 1
"""Version of what is in a body."""


class _Letter(msgspec.Struct, frozen=True, array_like=True):
    received_us: int
    topic: bytes | None
    payload: bytes
    reason: Reason
    detail: bytes
    tenant: bytes | None
    device: bytes | None
    sqlstate: bytes | None
    correlation_id: bytes | None


class _Body(msgspec.Struct, frozen=True, array_like=True):
    """Columns are arrays in little-endian order; series are positions in `keys`."""

    version: int
    received_us: int
    messages: int
    size_bytes: int
    keys: list[tuple[bytes, bytes, bytes, bytes | None]]
    """Tenant, device, metric and unit."""
    series: bytes
    ts_us: bytes
    value: bytes
    quality: bytes
    text_series: bytes
    text_ts_us: bytes
    text_value: list[bytes]
    letters: list[_Letter]


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """A batch without a series index, as it comes from the disk."""

    keys: Sequence[tuple[SeriesKey, str | None]]
    """Series and their units."""
    numbers: NumberColumns
    """Whose series are positions in `keys`."""
    texts: TextColumns
    """The same."""
    dead_letters: Sequence[DeadLetter]
    messages: int
    size_bytes: int
    received_us: int

    @property
    def rows(self) -> int:
        """Readings and dead letters."""
        return len(self.numbers.series) + len(self.texts.series) + len(self.dead_letters)


_bodies = msgspec.msgpack.Decoder(_Body)
_encode = msgspec.msgpack.Encoder().encode


def encode(number: int, batch: Batch, readings: Mapping[str | None, int]) -> Record:
    """A batch as the record of this number; `readings` are its readings by tenant."""
    label = encode_label(number, batch.first_received_us, batch.rows, readings)
    return Record(number, label, seal(number, _encode(_body_of(batch))))


def decode_body(number: int, body: bytes) -> Contents:
    """What a record holds; `Unreadable` when it is damaged or of another version."""
    payload = unseal(number, body)
    try:
        return _contents_of(_bodies.decode(payload))
    except (msgspec.DecodeError, ValueError) as error:
        raise Unreadable(f"the batch cannot be decoded: {error}") from error


def relabelled(record: Record, contents: Contents) -> Record:
    """The record with a new label, made from what its body holds."""
    readings = Counter(letter.tenant for letter in contents.dead_letters)
    series = np.concatenate([contents.numbers.series, contents.texts.series])
    for (key, _), rows in zip(
        contents.keys, np.bincount(series, minlength=len(contents.keys)).tolist(), strict=True
    ):
        readings[key.tenant] += rows
    label = encode_label(record.number, contents.received_us, contents.rows, readings)
    return record._replace(label=label)


def _body_of(batch: Batch) -> _Body:
    index, numbers, texts = batch.index, batch.numbers, batch.texts
    used, positions = np.unique(np.concatenate([numbers.series, texts.series]), return_inverse=True)
    split = len(numbers.series)
    return _Body(
        version=FORMAT,
        received_us=batch.first_received_us,
        messages=batch.messages,
        size_bytes=batch.size_bytes,
        keys=[_key_of(index.keys[series], index.units[series]) for series in used.tolist()],
        series=_column(positions[:split], "<i4"),
        ts_us=_column(numbers.ts_us, "<i8"),
        value=_column(numbers.value, "<f8"),
        quality=_column(numbers.quality, "<i2"),
        text_series=_column(positions[split:], "<i4"),
        text_ts_us=_column(texts.ts_us, "<i8"),
        text_value=[encoded(text) for text in texts.value],
        letters=[_letter_of(letter) for letter in batch.dead_letters],
    )


def _contents_of(body: _Body) -> Contents:
    if body.version != FORMAT:
        raise ValueError(f"it is of version {body.version}, and this is {FORMAT}")
    numbers = NumberColumns(
        series=_array(body.series, "<i4"),
        ts_us=_array(body.ts_us, "<i8"),
        value=_array(body.value, "<f8"),
        quality=_array(body.quality, "<i2"),
    )
    texts = TextColumns(
        series=_array(body.text_series, "<i4"),
        ts_us=_array(body.text_ts_us, "<i8"),
        value=[decoded(text) for text in body.text_value],
    )
    if len({len(column) for column in numbers}) > 1 or len({len(column) for column in texts}) > 1:
        raise ValueError("its columns differ in length")
    for series in (numbers.series, texts.series):
        if len(series) and not 0 <= series.min() <= series.max() < len(body.keys):
            raise ValueError("a reading is of no series")
    return Contents(
        keys=[
            (SeriesKey(decoded(tenant), decoded(device), decoded(metric)), to_text(unit))
            for tenant, device, metric, unit in body.keys
        ],
        numbers=numbers,
        texts=texts,
        dead_letters=[_dead_letter_of(letter) for letter in body.letters],
        messages=body.messages,
        size_bytes=body.size_bytes,
        received_us=body.received_us,
    )


def _key_of(key: SeriesKey, unit: str | None) -> tuple[bytes, bytes, bytes, bytes | None]:
    return (encoded(key.tenant), encoded(key.device), encoded(key.metric), to_bytes(unit))


def _letter_of(letter: DeadLetter) -> _Letter:
    return _Letter(
        received_us=letter.received_us,
        topic=to_bytes(letter.topic),
        payload=letter.payload,
        reason=letter.reason,
        detail=encoded(letter.detail),
        tenant=to_bytes(letter.tenant),
        device=to_bytes(letter.device),
        sqlstate=to_bytes(letter.sqlstate),
        correlation_id=to_bytes(letter.correlation_id),
    )


def _dead_letter_of(letter: _Letter) -> DeadLetter:
    return DeadLetter(
        received_us=letter.received_us,
        topic=to_text(letter.topic),
        payload=letter.payload,
        reason=letter.reason,
        detail=decoded(letter.detail),
        tenant=to_text(letter.tenant),
        device=to_text(letter.device),
        sqlstate=to_text(letter.sqlstate),
        correlation_id=to_text(letter.correlation_id),
    )


def _column(values: NDArray[np.generic], kind: str) -> bytes:
    return values.astype(kind, copy=False).tobytes()


def _array(data: bytes, kind: str) -> NDArray[Any]:
    return np.frombuffer(data, dtype=kind).astype(np.dtype(kind).newbyteorder("="), copy=False)
