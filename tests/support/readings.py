"""Batches made of readings that a test spells out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from penstock.model import (
    GOOD_QUALITY,
    Batch,
    DeadLetter,
    NumberColumns,
    SeriesIndex,
    SeriesKey,
    TextColumns,
)

NOW_US = 1_790_000_000_000_000


class Reading(NamedTuple):
    """One reading, numeric or text."""

    metric: str = "temperature"
    ts_us: int = NOW_US
    value: float | str = 21.5
    device: str = "pump-1"
    tenant: str = "acme"
    quality: int = GOOD_QUALITY


class Numbering:
    """A series index that numbers each series once."""

    def __init__(self) -> None:
        self.index = SeriesIndex()
        self._numbers: dict[SeriesKey, int] = {}

    def number(self, reading: Reading) -> int:
        key = SeriesKey(reading.tenant, reading.device, reading.metric)
        if key not in self._numbers:
            self._numbers[key] = self.index.add(key, unit="C")
        return self._numbers[key]


def batch(
    *readings: Reading,
    numbering: Numbering | None = None,
    dead_letters: Sequence[DeadLetter] = (),
    received_us: int = NOW_US,
) -> Batch:
    """A batch of readings, with an index of its own unless `numbering` is given."""
    numbering = numbering or Numbering()
    numbers = [reading for reading in readings if not isinstance(reading.value, str)]
    texts = [reading for reading in readings if isinstance(reading.value, str)]
    return Batch(
        number=1,
        index=numbering.index,
        numbers=NumberColumns(
            series=np.array([numbering.number(reading) for reading in numbers], dtype=np.int32),
            ts_us=np.array([reading.ts_us for reading in numbers], dtype=np.int64),
            value=np.array([reading.value for reading in numbers], dtype=np.float64),
            quality=np.array([reading.quality for reading in numbers], dtype=np.int16),
        ),
        texts=TextColumns(
            series=np.array([numbering.number(reading) for reading in texts], dtype=np.int32),
            ts_us=np.array([reading.ts_us for reading in texts], dtype=np.int64),
            value=[str(reading.value) for reading in texts],
        ),
        dead_letters=dead_letters,
        messages=len(readings) + len(dead_letters),
        size_bytes=1,
        first_received_us=received_us,
    )
