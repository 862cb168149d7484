"""Signals that stay for a while and then jump: set points, modes, and what is on or off."""

from typing import NamedTuple

import numpy as np

from penstock_simulator.identity import bits
from penstock_simulator.signals.moment import Moment, Raw, modulo, series_keys, spread

_CHANCE_BITS = np.uint64(40)


class Steps(NamedTuple):
    """Levels from `low` to `high`, each held for `hold_us`, with noise on them."""

    name: str
    least: int
    most: int
    noise: int = 0
    hold_us: int = 600_000_000

    @property
    def low(self) -> int:
        return self.least - self.noise

    @property
    def high(self) -> int:
        return self.most + self.noise

    def at(self, moment: Moment) -> Raw:
        keys = series_keys(moment, self.name)
        held = bits(keys, moment.ts_us // self.hold_us)
        level = modulo((held >> _CHANCE_BITS).astype(np.int64), self.most - self.least + 1)
        if not self.noise:
            return self.least + level
        noise = spread(bits(keys, moment.sequence), self.noise)
        value: Raw = self.least + level + noise
        return value


class Switch(NamedTuple):
    """On (1) or off (0), each time for `hold_us` or a multiple of it."""

    name: str
    on_percent: int
    hold_us: int = 120_000_000

    @property
    def low(self) -> int:
        return 0

    @property
    def high(self) -> int:
        return 1

    def at(self, moment: Moment) -> Raw:
        held = bits(series_keys(moment, self.name), moment.ts_us // self.hold_us)
        chance = modulo((held >> _CHANCE_BITS).astype(np.int64), 100)
        return (chance < self.on_percent).astype(np.int64)
