"""What a run's times amount to: percentiles, and events a second.

The percentiles are exact. A run keeps 8 bytes a message for each kind of time anyway, so sorting
them costs less than it would to argue about the buckets of a histogram: 10 million latencies are
80 MB and about a second.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Numbers

_QUANTILES = (50, 90, 99, 99.9, 100)


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of times, in ms; None where nothing was timed."""

    count: int
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, times_us: Numbers) -> "Percentiles":
        """Those of times in µs."""
        if not len(times_us):
            return cls(count=0)
        found = np.percentile(times_us, _QUANTILES) / 1_000
        p50, p90, p99, p999, most = (round(value, 3) for value in found.tolist())
        return cls(count=len(times_us), p50=p50, p90=p90, p99=p99, p999=p999, max=most)


def per_second(times_us: Numbers, since_us: int, until_us: int) -> NDArray[np.int64]:
    """How many of the times fall into each second of a span; the last one may be partial."""
    inside = times_us[(times_us >= since_us) & (times_us < until_us)]
    seconds = -(-(until_us - since_us) // 1_000_000)
    return np.bincount((inside - since_us) // 1_000_000, minlength=seconds).astype(np.int64)
