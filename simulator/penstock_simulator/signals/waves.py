"""Signals that change smoothly: cycles of a day or an hour with noise on them, and drift."""

from typing import NamedTuple

import numpy as np

from penstock_simulator.identity import bits
from penstock_simulator.signals.moment import (
    Moment,
    Numbers,
    Raw,
    Signal,
    position,
    series_keys,
    spread,
)

DAY_US = 86_400_000_000

_WAVE_STEPS = 4096
_WAVE_PEAK_BITS = 20


class Wave(NamedTuple):
    """A cycle about each device's own level, with noise on it."""

    name: str
    centre: int
    reach: int
    """How far a device's own level may be from `centre`."""
    swing: int
    """Amplitude of the cycle."""
    noise: int
    """Largest deviation of one reading; wide enough that a misplaced value is seen as wrong."""
    period_us: int = DAY_US

    @property
    def low(self) -> int:
        return self.centre - self.reach - self.swing - self.noise

    @property
    def high(self) -> int:
        return self.centre + self.reach + self.swing + self.noise

    def at(self, moment: Moment) -> Raw:
        keys = series_keys(moment, self.name)
        level = spread(keys, self.reach)
        noise = spread(bits(keys, moment.sequence), self.noise)
        where = position(keys, moment.ts_us, self.period_us)
        value: Raw = self.centre + level + noise + _wave(where, self.period_us, self.swing)
        return value


class Drift(NamedTuple):
    """Another signal, off by ever more until the device is calibrated again."""

    name: str
    base: Signal
    reach: int
    """How far it is off at the end of a period."""
    period_us: int = 90 * DAY_US

    @property
    def low(self) -> int:
        return self.base.low

    @property
    def high(self) -> int:
        return self.base.high + self.reach

    def at(self, moment: Moment) -> Raw:
        where = position(series_keys(moment, self.name), moment.ts_us, self.period_us)
        # In seconds, because microseconds times the reach may not fit into 64 bits.
        off: Raw = where // 1_000_000 * self.reach // (self.period_us // 1_000_000)
        return self.base.at(moment) + off


def _wave(where: Numbers, period_us: int, swing: int) -> Raw:
    """Two parabolas that pass for a sine: real sines differ between machines in the last bit."""
    step = where * _WAVE_STEPS // period_us
    half = _WAVE_STEPS // 2
    within = step % half
    height = within * (half - within)
    size: Raw = swing * height >> _WAVE_PEAK_BITS
    return np.where(step < half, size, -size)
