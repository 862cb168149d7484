"""Rates over the last few seconds, from totals sampled about once a second."""

from collections import deque
from typing import NamedTuple

WINDOW_SECONDS = 10.0


class _Sample(NamedTuple):
    at_seconds: float
    total: int


class Rate:
    """Growth of one total per second, over the last `WINDOW_SECONDS`."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()

    def sample(self, at_seconds: float, total: int) -> None:
        """Note `total` at a monotonic time; older samples than the window needs are forgotten."""
        self._samples.append(_Sample(at_seconds, total))
        # One sample at or beyond the window's far end stays, to measure across the whole of it.
        while len(self._samples) > 1 and self._samples[1].at_seconds <= at_seconds - WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self) -> float:
        """The rate between the oldest and the newest sample kept; 0 while there is but one."""
        if len(self._samples) < 2:
            return 0.0
        oldest, newest = self._samples[0], self._samples[-1]
        elapsed_seconds = newest.at_seconds - oldest.at_seconds
        return (newest.total - oldest.total) / elapsed_seconds if elapsed_seconds > 0 else 0.0
