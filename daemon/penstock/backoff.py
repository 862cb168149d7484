"""How long to wait before trying again.

Exponential with full jitter above a floor, so that many clients of a service that comes back do
not return in step, and none returns at once. Pure: the randomness is passed in, and waiting is the
caller's.
"""

from collections.abc import Callable


class Backoff:
    """Delays that grow from `min_seconds` towards `max_seconds` with every failure in a row.

    `random` returns a number in [0, 1), as `random.random` does.
    """

    def __init__(self, min_seconds: float, max_seconds: float, random: Callable[[], float]) -> None:
        self._min_seconds = min(min_seconds, max_seconds)
        self._max_seconds = max_seconds
        self._random = random
        self._ceiling_seconds = self._min_seconds

    @property
    def max_seconds(self) -> float:
        """The longest delay."""
        return self._max_seconds

    def next_seconds(self) -> float:
        """The delay before the next attempt, in seconds, within the bounds."""
        self._ceiling_seconds = min(self._max_seconds, self._ceiling_seconds * 2)
        return self._min_seconds + self._random() * (self._ceiling_seconds - self._min_seconds)

    def reset(self) -> None:
        """Begin with short delays again, after something that worked."""
        self._ceiling_seconds = self._min_seconds
