"""Batches as the intake seals them, made without messages, and the bytes that COPY takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penstock.model import (
    GOOD_QUALITY,
    Batch,
    NumberColumns,
    SeriesIndex,
    SeriesKey,
    TextColumns,
)
from penstock.storage.write_set import WriteSet

TENANTS, DEVICES, METRICS = 3, 100, 10
SERIES = TENANTS * DEVICES * METRICS

_STEP_US = 1_000_000
_DAY_US = 86_400_000_000


class Made(NamedTuple):
    """What to store: all of it in one day, and so in one chunk."""

    warm_up: Sequence[Batch]
    """One reading of every series in each."""
    batches: Sequence[Batch]

    @property
    def rows(self) -> int:
        """Rows of the batches."""
        return sum(batch.rows for batch in self.batches)


def make_batches(*, warm_ups: int, batch_rows: int, rows: int) -> Made:
    """Readings in the order in which devices that report once a second send them."""
    index, rounds = _new_index(), -(-rows // SERIES) + warm_ups
    series = np.tile(np.arange(SERIES, dtype=np.int32), rounds)
    ts_us = 365 * 56 * _DAY_US + np.repeat(np.arange(rounds, dtype=np.int64), SERIES) * _STEP_US
    value = np.random.default_rng(1).normal(50.0, 10.0, len(series)).round(3)
    quality = np.full(len(series), GOOD_QUALITY, dtype=np.int16)
    columns = NumberColumns(series, ts_us, value, quality)
    first = warm_ups * SERIES
    return Made(
        [_batch(index, columns, at, at + SERIES) for at in range(0, first, SERIES)],
        [
            _batch(index, columns, at, at + batch_rows)
            for at in range(first, first + rows, batch_rows)
        ],
    )


def write_copies(batches: Sequence[Batch], folder: Path) -> list[Path]:
    """Files with what Penstock sends for each batch; its series must be known."""
    folder.mkdir()
    paths = []
    for number, batch in enumerate(batches):
        readings = WriteSet(batch).readings
        assert readings is not None, "a batch that was made has readings"
        path = folder / str(number)
        path.write_bytes(readings.data)
        paths.append(path)
    return paths


def _new_index() -> SeriesIndex:
    """An index of all series, none of them known to a database."""
    index = SeriesIndex()
    for tenant in range(TENANTS):
        for device in range(DEVICES):
            for metric in range(METRICS):
                index.add(SeriesKey(f"plant-{tenant}", f"pump-{device:03}", f"metric-{metric}"))
    return index


def _batch(index: SeriesIndex, columns: NumberColumns, start: int, stop: int) -> Batch:
    numbers = columns.rows(start, stop)
    none = np.empty(0, dtype=np.int32)
    return Batch(
        number=start,
        index=index,
        numbers=numbers,
        texts=TextColumns(none, none.astype(np.int64), ()),
        dead_letters=(),
        messages=len(numbers.series) // METRICS,
        size_bytes=30 * len(numbers.series),
        first_received_us=int(numbers.ts_us[0]),
    )
