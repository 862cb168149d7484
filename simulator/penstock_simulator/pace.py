"""How fast a run publishes: how many messages are due by when, and when each of them is.

A pace is a pure function of the seconds since the run began, and so is its inverse. Nothing about
the broker or about what was sent enters into it: the load is an open loop, and a message is due
when it is due, however late it leaves (G. Tene, "How NOT to Measure Latency", 2013).
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rate = Annotated[float, Meta(gt=0)]
Span = Annotated[float, Meta(gt=0)]


class Steady(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="steady"):
    """The same rate all the time."""

    rate: Rate
    """Messages a second."""

    def due_messages(self, seconds: float) -> float:
        """How many messages are due by then, counted from 0 and with fractions."""
        return max(0.0, seconds) * self.rate

    def due_seconds(self, messages: Floats) -> Floats:
        """When so many messages are due."""
        return messages / self.rate


class Ramp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ramp", kw_only=True):
    """Rates from `first` to `last` in equal steps, to find the highest that is sustained.

    After the last step it goes on at the last rate.
    """

    first: Rate
    last: Rate
    steps: Annotated[int, Meta(ge=2, le=1_000)] = 10
    step_seconds: Span = 10.0

    @property
    def rates(self) -> Floats:
        """The rate of each step."""
        return np.linspace(self.first, self.last, self.steps, dtype=np.float64)

    def part(self, share: float) -> "Ramp":
        """The ramp of something that has so much of the rate."""
        return msgspec.structs.replace(self, first=self.first * share, last=self.last * share)

    @property
    def starts_seconds(self) -> Floats:
        """When each step begins, and at last when the last one ends."""
        return np.arange(self.steps + 1, dtype=np.float64) * self.step_seconds

    def due_messages(self, seconds: float) -> float:
        """How many messages are due by then, counted from 0 and with fractions."""
        starts, counts = self.starts_seconds, self._counts
        beyond = max(0.0, seconds - float(starts[-1]))
        return float(np.interp(seconds, starts, counts)) + beyond * self.last

    def due_seconds(self, messages: Floats) -> Floats:
        """When so many messages are due."""
        starts, counts = self.starts_seconds, self._counts
        beyond = np.maximum(0.0, messages - counts[-1])
        due: Floats = np.interp(messages, counts, starts) + beyond / self.last
        return due

    @property
    def _counts(self) -> Floats:
        return np.concatenate([[0.0], np.cumsum(self.rates * self.step_seconds)])


class Bursts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="bursts", kw_only=True):
    """A steady rate that is multiplied at the end of each period."""

    rate: Rate
    """Messages a second between the bursts."""
    factor: Annotated[float, Meta(ge=1)]
    burst_seconds: Span
    period_seconds: Span
    """From the end of one burst to the end of the next."""

    def __post_init__(self) -> None:
        if self.burst_seconds >= self.period_seconds:
            raise ValueError("a burst must be shorter than its period")

    def due_messages(self, seconds: float) -> float:
        """How many messages are due by then, counted from 0 and with fractions."""
        periods, rest = divmod(max(0.0, seconds), self.period_seconds)
        return periods * self._counts[2] + float(np.interp(rest, self._starts, self._counts))

    def due_seconds(self, messages: Floats) -> Floats:
        """When so many messages are due."""
        periods, rest = np.divmod(messages, self._counts[2])
        due: Floats = periods * self.period_seconds + np.interp(rest, self._counts, self._starts)
        return due

    @property
    def _starts(self) -> list[float]:
        return [0.0, self.period_seconds - self.burst_seconds, self.period_seconds]

    @property
    def _counts(self) -> list[float]:
        quiet = self.rate * (self.period_seconds - self.burst_seconds)
        return [0.0, quiet, quiet + self.rate * self.factor * self.burst_seconds]


Pace = Steady | Ramp | Bursts
