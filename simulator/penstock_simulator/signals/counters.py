"""Signals that go one way and begin again: counters that wrap, and batteries that are replaced."""

from typing import NamedTuple

import numpy as np

from penstock_simulator.identity import bits
from penstock_simulator.signals.moment import Moment, Raw, modulo, position, series_keys, spread
from penstock_simulator.signals.waves import DAY_US

_OFFSET_BITS = np.uint64(32)


class Counter(NamedTuple):
    """A total that grows by `per_second` and wraps at 32 bits, as registers of meters do."""

    name: str
    per_second: int
    wraps_at: int = 2**32

    @property
    def low(self) -> int:
        return 0

    @property
    def high(self) -> int:
        return self.wraps_at - 1

    def at(self, moment: Moment) -> Raw:
        begun = (series_keys(moment, self.name) >> _OFFSET_BITS).astype(np.int64)
        # In milliseconds: up to the year 2100 and 2 million a second it fits into 64 bits.
        counted = moment.ts_us // 1_000 * self.per_second // 1_000
        return modulo(begun + counted, self.wraps_at)


class Battery(NamedTuple):
    """A charge that falls from `full` to `empty` over `life_us`, then is full again."""

    name: str
    full: int
    empty: int
    noise: int
    life_us: int = 30 * DAY_US

    @property
    def low(self) -> int:
        return self.empty - self.noise

    @property
    def high(self) -> int:
        return self.full + self.noise

    def at(self, moment: Moment) -> Raw:
        keys = series_keys(moment, self.name)
        where = position(keys, moment.ts_us, self.life_us)
        noise = spread(bits(keys, moment.sequence), self.noise)
        # In milliseconds, because microseconds times the charge may not fit into 64 bits.
        used = where // 1_000 * (self.full - self.empty) // (self.life_us // 1_000)
        value: Raw = self.full - used + noise
        return value
