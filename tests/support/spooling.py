"""Spools for tests: any batch, an account that remembers, and what is left of a damaged file."""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from penstock.errors import Reason
from penstock.model import (
    Batch,
    DeadLetter,
    NumberColumns,
    SeriesIndex,
    SeriesKey,
    TextColumns,
)
from penstock.pipeline.accounting import readings_by_tenant
from penstock.spool.codec import decode_body, encode
from penstock.spool.label import Record, Unreadable
from penstock.spool.portion import Portions

ANY_TEXT = st.text(st.characters(), max_size=12)
"""Halves of surrogate pairs and NUL included."""
SMALLEST, LARGEST = -(2**63), 2**63 - 1


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Batches of every shape, with values that no database would take among them."""
    keys = draw(
        st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=6, unique=True)
    )
    index = SeriesIndex()
    for key in keys:
        index.add(SeriesKey(*key), draw(st.none() | ANY_TEXT))
    series = st.integers(0, len(keys) - 1)
    times = st.integers(SMALLEST, LARGEST)
    numbers = draw(
        st.lists(st.tuples(series, times, st.floats(), st.integers(-(2**15), 2**15 - 1)))
    )
    texts = draw(st.lists(st.tuples(series, times, ANY_TEXT), max_size=5))
    return Batch(
        number=draw(st.integers(1, LARGEST)),
        index=index,
        numbers=NumberColumns(
            np.array([row[0] for row in numbers], dtype=np.int32),
            np.array([row[1] for row in numbers], dtype=np.int64),
            np.array([row[2] for row in numbers], dtype=np.float64),
            np.array([row[3] for row in numbers], dtype=np.int16),
        ),
        texts=TextColumns(
            np.array([row[0] for row in texts], dtype=np.int32),
            np.array([row[1] for row in texts], dtype=np.int64),
            tuple(row[2] for row in texts),
        ),
        dead_letters=draw(st.lists(dead_letters(), max_size=3)),
        messages=draw(st.integers(1, 10**6)),
        size_bytes=draw(st.integers(0, LARGEST)),
        first_received_us=draw(times),
    )


def dead_letters() -> st.SearchStrategy[DeadLetter]:
    maybe = st.none() | ANY_TEXT
    return st.builds(
        DeadLetter,
        received_us=st.integers(SMALLEST, LARGEST),
        topic=maybe,
        payload=st.binary(max_size=20),
        reason=st.sampled_from(Reason),
        detail=ANY_TEXT,
        tenant=maybe,
        device=maybe,
        sqlstate=maybe,
        correlation_id=maybe,
    )


def rows_of(batch: Batch) -> tuple[object, ...]:
    """All that is stored of a batch, comparable whatever index it has; floats by their bits."""
    index, numbers, texts = batch.index, batch.numbers, batch.texts
    return (
        [(index.keys[n], index.units[n]) for n in numbers.series.tolist()],
        numbers.ts_us.tolist(),
        numbers.value.tobytes(),
        numbers.quality.tolist(),
        [(index.keys[n], index.units[n]) for n in texts.series.tolist()],
        texts.ts_us.tolist(),
        list(texts.value),
        list(batch.dead_letters),
        batch.messages,
        batch.size_bytes,
        batch.first_received_us,
    )


def record_of(number: int, batch: Batch) -> Record:
    return encode(number, batch, readings_by_tenant(batch))


def batch_in(record: Record) -> Batch:
    """The batch that a record holds; `Unreadable` when it is damaged."""
    contents = decode_body(record.number, record.body)
    return Portions().portion([record.number], [contents]).batch


def readable_in(records: list[Record]) -> Iterator[tuple[int, Batch]]:
    """Those records that are not damaged."""
    for record in records:
        try:
            yield record.number, batch_in(record)
        except Unreadable:
            continue


class Account:
    """Fulfils `SpoolAccount`: what the spool should hold, and what it was said to have lost."""

    def __init__(self) -> None:
        self.held: dict[str | None, int] = {}
        self.lost: dict[str | None, int] = {}
        self.openings = 0

    def spool_opened(self, more_readings: Mapping[str | None, int]) -> None:
        self.openings += 1
        for tenant, more in more_readings.items():
            self.held[tenant] = self.held.get(tenant, 0) + more

    def spool_dropped(self, readings: Mapping[str | None, int]) -> None:
        for tenant, count in readings.items():
            self.lost[tenant] = self.lost.get(tenant, 0) + count

    def spool_surplus(self, readings: Mapping[str | None, int]) -> None:
        self.spool_dropped({tenant: -count for tenant, count in readings.items()})


def damage(path: Path, sql: str) -> None:
    """Change a closed spool behind its back."""
    connection = sqlite3.connect(path)
    connection.execute("pragma locking_mode = exclusive")
    connection.execute(sql)
    connection.commit()
    connection.close()
