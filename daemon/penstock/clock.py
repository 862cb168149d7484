"""Time as a value that is passed in.

Whatever decides by time takes a `Clock`, so that tests run on virtual time and a stepped system
clock can be simulated. Wall time is only for stamping data; every duration uses the monotonic
clock.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where a stage gets its time from."""

    def now_us(self) -> int:
        """Wall time in microseconds since the Unix epoch, UTC."""
        ...

    def monotonic_seconds(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_seconds(self) -> float:
        return time.monotonic()
