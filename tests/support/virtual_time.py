"""An event loop whose time is a `ManualClock`: nothing in it ever sleeps for real.

Whenever every task waits for a moment to come, that moment is now. Work that is done outside of the
loop, by a thread, is waited for as it is: meanwhile the time stands still.
"""

import asyncio
import math
import selectors
from collections.abc import Callable

from tests.support.clocks import ManualClock


class StuckError(AssertionError):
    """Every task waits, and not for a moment to come: it would be for ever."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs tasks in the order in which they would run, and moves `clock` when all of them wait."""

    def __init__(
        self, clock: ManualClock, works_outside: Callable[[], bool] = lambda: False
    ) -> None:
        """`works_outside` says whether a thread is still to call back."""
        super().__init__(_Selector(clock, works_outside))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic_seconds()

    @property
    def _clock_resolution(self) -> float:
        # Or timers would fire a little early, and whoever finds then that it is not yet time, and
        # waits for the rest, would do so for ever: here no time passes by itself.
        return math.ulp(self.time())

    @_clock_resolution.setter
    def _clock_resolution(self, seconds: float) -> None:
        """What the system's clock has is of no interest."""


class _Selector(selectors.DefaultSelector):
    """Looks at the loop's files, of which there is the one that wakes it, instead of waiting."""

    def __init__(self, clock: ManualClock, works_outside: Callable[[], bool]) -> None:
        super().__init__()
        self._clock = clock
        self._works_outside = works_outside

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        at_once = timeout is not None and timeout <= 0
        ready = super().select(None if self._works_outside() and not at_once else 0)
        if ready or at_once:
            return ready
        if timeout is None:
            raise StuckError
        self._clock.advance(timeout)
        return ready
