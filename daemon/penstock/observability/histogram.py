"""A histogram that costs one bisection a value, or one numpy pass an array.

It holds plain integers and takes no lock: one thread, the event loop's, feeds it and reads it.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Histogram:
    """Counts values in buckets with fixed, ascending upper bounds; a value on one is within it."""

    __slots__ = ("_edges", "bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Values of each bucket alone; the last is above every bound."""
        self.total = 0.0
        """Sum of all values."""
        self._edges = np.asarray(self.bounds, dtype=np.float64)

    def observe(self, value: float, weight: int = 1) -> None:
        """Count `value`, `weight` times. A value below zero counts as zero."""
        value = max(value, 0.0)
        self.counts[bisect_left(self.bounds, value)] += weight
        self.total += value * weight

    def observe_many(self, values: NDArray[np.float64]) -> None:
        """Count every element; those below zero, from clocks that differ, count as zero."""
        values = np.maximum(values, 0.0)
        buckets = np.searchsorted(self._edges, values, side="left")
        for bucket, count in enumerate(np.bincount(buckets, minlength=len(self.counts)).tolist()):
            self.counts[bucket] += count
        self.total += float(values.sum())

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.counts)
