"""Signals that follow from others of the same device at the same moment."""

from typing import NamedTuple

from penstock_simulator.identity import bits
from penstock_simulator.signals.moment import Moment, Raw, Signal, series_keys, spread

NUMBERED_DIGITS = 8
NUMBERED = 10**8
"""How many readings of one series have different numbers."""


class Product(NamedTuple):
    """One signal times another, such as volts times amperes."""

    left: Signal
    right: Signal
    divisor: int
    """What the product is divided by to be in its own unit; the rest is cut off."""

    @property
    def low(self) -> int:
        return self.left.low * self.right.low // self.divisor

    @property
    def high(self) -> int:
        return self.left.high * self.right.high // self.divisor

    def at(self, moment: Moment) -> Raw:
        product: Raw = self.left.at(moment) * self.right.at(moment) // self.divisor
        return product


class Opposed(NamedTuple):
    """A signal that falls as another rises, such as humidity with temperature."""

    name: str
    other: Signal
    centre: int
    percent: int
    """By how much it falls for a rise of the other by 100."""
    noise: int

    @property
    def low(self) -> int:
        return self.centre - self._reach - self.noise

    @property
    def high(self) -> int:
        return self.centre + self._reach + self.noise

    def at(self, moment: Moment) -> Raw:
        noise = spread(bits(series_keys(moment, self.name), moment.sequence), self.noise)
        risen = self.other.at(moment) - self._middle
        value: Raw = self.centre - risen * self.percent // 100 + noise
        return value

    @property
    def _middle(self) -> int:
        return (self.other.low + self.other.high) // 2

    @property
    def _reach(self) -> int:
        return (self.other.high - self._middle + 1) * self.percent // 100 + 1


class Gated(NamedTuple):
    """A signal that is 0 while another is."""

    gate: Signal
    base: Signal

    @property
    def low(self) -> int:
        return min(0, self.base.low)

    @property
    def high(self) -> int:
        return max(0, self.base.high)

    def at(self, moment: Moment) -> Raw:
        value: Raw = self.base.at(moment) * (self.gate.at(moment) != 0)
        return value


class Numbered(NamedTuple):
    """A signal whose last eight digits are the sequence number of the reading.

    For readings without a time, which nothing else would tell from one another.
    """

    base: Signal

    @property
    def low(self) -> int:
        return self.base.low * NUMBERED

    @property
    def high(self) -> int:
        return self.base.high * NUMBERED + NUMBERED - 1

    def at(self, moment: Moment) -> Raw:
        value: Raw = self.base.at(moment) * NUMBERED + moment.sequence % NUMBERED
        return value
