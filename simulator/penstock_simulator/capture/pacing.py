"""When each message of a capture is due when it is published again: pure functions.

As everywhere in the simulator the load is an open loop: nothing about the broker enters into it.
A capture that is published several times over has its rounds one after the other, a *period* apart.
"""

from typing import NamedTuple

import numpy as np

from penstock_simulator.fleet import Numbers

_LONE_US = 1_000_000
"""The period of a capture that has no spacing, since all in it was received at once."""


class Pacing(NamedTuple):
    """When the messages of a capture are due, in the order of the capture."""

    offsets_us: Numbers
    """Of each message, since its round began; they never go back."""
    period_us: int
    """From the beginning of a round to that of the next; 0 where all is due at once."""

    def of(self, which: Numbers) -> "Pacing":
        """The same for some of the messages, in the order of the capture."""
        return Pacing(self.offsets_us[which], self.period_us)

    def due(self, elapsed_us: int, rounds: int) -> int:
        """How many messages of all rounds are due by then."""
        count = len(self.offsets_us)
        if not self.period_us:
            return count * rounds
        whole, into_us = divmod(elapsed_us, self.period_us)
        if whole >= rounds:
            return count * rounds
        return whole * count + int(np.searchsorted(self.offsets_us, into_us, side="right"))

    def due_us(self, slots: Numbers) -> Numbers:
        """When messages are due, counted through all rounds, since the first round began."""
        count = len(self.offsets_us)
        due: Numbers = slots // count * self.period_us + self.offsets_us[slots % count]
        return due


def at_speed(at_us: Numbers, speed: float) -> Pacing:
    """The spacing that they were received with, so many times as fast.

    The first is due at once. Between rounds there is as much time as between messages on average.
    """
    steady = np.maximum.accumulate(at_us)
    offsets_us = np.rint((steady - steady[0]) / speed).astype(np.int64)
    span_us = int(offsets_us[-1])
    mean_us = span_us // (len(at_us) - 1) if span_us else _LONE_US
    return Pacing(offsets_us, span_us + max(1, mean_us))


def at_rate(count: int, rate: float) -> Pacing:
    """So many messages a second, evenly, however they were received."""
    offsets_us = np.rint(np.arange(count) * 1e6 / rate).astype(np.int64)
    return Pacing(offsets_us, max(int(offsets_us[-1]) + 1, round(count * 1e6 / rate)))


def at_once(count: int) -> Pacing:
    """All at once: as fast as they are taken."""
    return Pacing(np.zeros(count, dtype=np.int64), 0)
