"""Logging what may come by the thousand a second: the first few of each second, then a count.

An event is sampled by its name and a reason from a closed list, so the memory is bounded by those.
What is not logged is still counted, in `metrics` by whoever logs and here in `suppressed`.
"""

import msgspec
from structlog.stdlib import BoundLogger

from penstock.clock import Clock

WINDOW_SECONDS = 1.0


class _Window(msgspec.Struct):
    began_seconds: float
    admitted: int = 0
    suppressed: int = 0


class SampledLog:
    """Logs warnings, at most `per_second` of each event and reason."""

    def __init__(self, log: BoundLogger, clock: Clock, per_second: int = 5) -> None:
        self._log = log
        self._clock = clock
        self._per_second = per_second
        self._windows: dict[tuple[str, str], _Window] = {}

    def warning(self, event: str, *, reason: str, **fields: object) -> None:
        """Log the event, or count it as suppressed when this second has had enough of them."""
        if self._admit(event, reason):
            self._log.warning(event, reason=reason, **fields)

    def flush(self) -> None:
        """Log how many were suppressed in the windows that are over; to be called once a second."""
        now_seconds = self._clock.monotonic_seconds()
        for (event, reason), window in list(self._windows.items()):
            if now_seconds - window.began_seconds >= WINDOW_SECONDS:
                del self._windows[event, reason]
                self._summarise(event, reason, window)

    def close(self) -> None:
        """Log how many were suppressed in the windows that are not over yet."""
        for (event, reason), window in self._windows.items():
            self._summarise(event, reason, window)
        self._windows.clear()

    def _admit(self, event: str, reason: str) -> bool:
        now_seconds = self._clock.monotonic_seconds()
        window = self._windows.get((event, reason))
        if window is None or now_seconds - window.began_seconds >= WINDOW_SECONDS:
            if window is not None:
                self._summarise(event, reason, window)
            window = self._windows[event, reason] = _Window(now_seconds)
        if window.admitted < self._per_second:
            window.admitted += 1
            return True
        window.suppressed += 1
        return False

    def _summarise(self, event: str, reason: str, window: _Window) -> None:
        if window.suppressed:
            self._log.warning(event, reason=reason, suppressed=window.suppressed)
