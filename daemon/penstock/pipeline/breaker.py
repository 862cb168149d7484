"""Remembers whether the database is worth asking, so that not everybody has to find out. Pure.

It is closed while the database answers. The first failure opens it: from then on new batches go
straight to the spool, and only the replayer tries the database, at growing intervals, until
something was stored. Without a spool nobody heeds it.
"""

from penstock.backoff import Backoff
from penstock.clock import Clock


class Breaker:
    """Told of every success and failure; asked before every attempt."""

    def __init__(self, backoff: Backoff, clock: Clock) -> None:
        self._backoff = backoff
        self._clock = clock
        self._retry_seconds: float | None = None

    @property
    def closed(self) -> bool:
        """Whether the database is taken to be well."""
        return self._retry_seconds is None

    @property
    def wait_seconds(self) -> float:
        """How long until it is worth another try."""
        if self._retry_seconds is None:
            return 0.0
        return max(0.0, self._retry_seconds - self._clock.monotonic_seconds())

    def failed(self) -> None:
        """The database did not take something."""
        # Several who fail at once count as one failure.
        if self._retry_seconds is None or self.wait_seconds == 0.0:
            self._retry_seconds = self._clock.monotonic_seconds() + self._backoff.next_seconds()

    def succeeded(self) -> None:
        """The database took something."""
        self._retry_seconds = None
        self._backoff.reset()
