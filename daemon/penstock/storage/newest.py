"""The newest reading of each series that was told of, and which of them are still to be written.

What always holds: one row of memory a series, however many readings it has; what was taken to be
written and given back is there again, unless something newer came meanwhile. Nothing here knows the
database.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).min
"""A time older than any."""


class Taken(NamedTuple):
    """What is to be written, one row a series."""

    series: NDArray[np.int32]
    seen_us: NDArray[np.int64]
    """When the series was last heard of."""
    ts_us: NDArray[np.int64]
    """Time of the newest reading, or `NEVER` if it has been written before."""
    value: NDArray[np.float64]
    quality: NDArray[np.int16]


class Newest:
    """Columns over the series of one index, by series number."""

    def __init__(self) -> None:
        self._heard = np.zeros(0, dtype=np.bool_)
        self._newer = np.zeros(0, dtype=np.bool_)
        self._seen_us = np.zeros(0, dtype=np.int64)
        self._ts_us = np.zeros(0, dtype=np.int64)
        self._value = np.zeros(0, dtype=np.float64)
        self._quality = np.zeros(0, dtype=np.int16)

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not self._heard.any()

    def grow(self, size: int) -> None:
        """Make room for `size` series."""
        more = size - len(self._heard)
        if more <= 0:
            return
        self._heard = np.pad(self._heard, (0, more))
        self._newer = np.pad(self._newer, (0, more))
        self._seen_us = np.pad(self._seen_us, (0, more), constant_values=NEVER)
        self._ts_us = np.pad(self._ts_us, (0, more), constant_values=NEVER)
        self._value = np.pad(self._value, (0, more))
        self._quality = np.pad(self._quality, (0, more))

    def hear(self, series: NDArray[np.int32], seen_us: int) -> None:
        """The series were heard of at a time."""
        self._heard[series] = True
        self._seen_us[series] = np.maximum(self._seen_us[series], seen_us)

    def learn(
        self,
        series: NDArray[np.int32],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        quality: NDArray[np.int16],
    ) -> None:
        """Readings of series, each series once."""
        newer = ts_us > self._ts_us[series]
        series = series[newer]
        self._newer[series] = True
        self._ts_us[series] = ts_us[newer]
        self._value[series] = value[newer]
        self._quality[series] = quality[newer]

    def take(self) -> Taken:
        """All that is to be written; it no longer is, until it is given back."""
        series = np.flatnonzero(self._heard).astype(np.int32)
        taken = Taken(
            series,
            self._seen_us[series],
            np.where(self._newer[series], self._ts_us[series], NEVER),
            self._value[series],
            self._quality[series],
        )
        self._heard[series] = False
        self._newer[series] = False
        return taken

    def give_back(self, taken: Taken) -> None:
        """What was taken could not be written."""
        self._heard[taken.series] = True
        self._newer[taken.series[taken.ts_us != NEVER]] = True
