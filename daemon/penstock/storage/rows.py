"""Puts the readings of a batch in the order in which they are written, each once.

What always holds: rows are in the order of (series, time), so that the index is met leaf by leaf
and two writers take its locks in one order; a reading that follows another of the same series, time
and value is a duplicate, and dropped. Different values at the same time are both kept: what becomes
of them is for the session to decide. Nothing here knows the database.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.model import SeriesIndex


class Rows(NamedTuple):
    """Readings in the order of writing, and where they stood in the batch."""

    positions: NDArray[np.intp]
    """Row in the batch's columns of each row to write."""
    series_ids: NDArray[np.int32]
    ts_us: NDArray[np.int64]
    dropped: NDArray[np.intp]
    """Rows of the batch that repeat another of it."""

    def __len__(self) -> int:
        return len(self.positions)

    def newest(self) -> NDArray[np.intp]:
        """Row in the batch's columns of the newest reading of each series."""
        if not len(self.positions):
            return self.positions
        last = np.ones(len(self.positions), dtype=np.bool_)
        np.not_equal(self.series_ids[1:], self.series_ids[:-1], out=last[:-1])
        newest: NDArray[np.intp] = self.positions[last]
        return newest


_NO_ROWS = Rows(
    np.empty(0, dtype=np.intp),
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.intp),
)
"""Most batches have no texts."""

Alike = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]]
"""Whether readings, given by their rows in the batch, have the same value, pair by pair."""


def arrange(
    index: SeriesIndex, series: NDArray[np.int32], ts_us: NDArray[np.int64], alike: Alike
) -> Rows:
    """Order readings, given by series number and time; all series must be resolved."""
    if not len(series):
        return _NO_ROWS
    ids = index.ids[series]
    order = np.lexsort((ts_us, ids))
    ids, times = ids[order], ts_us[order]
    again = np.flatnonzero((ids[1:] == ids[:-1]) & (times[1:] == times[:-1])) + 1
    again = again[alike(order[again - 1], order[again])]
    if not len(again):
        return Rows(order, ids, times, order[:0])
    kept = np.ones(len(order), dtype=np.bool_)
    kept[again] = False
    return Rows(order[kept], ids[kept], times[kept], order[again])
