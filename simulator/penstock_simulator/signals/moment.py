"""When and where signals are computed, and the pseudo-random numbers that they are made of."""

from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.identity import U64, key_of, mixed

Numbers = NDArray[np.int64]
Raw = NDArray[np.int64]
"""Values in whole units of a metric's last decimal."""

_NOISE_BITS = np.uint64(40)
_PHASE_BITS = np.uint64(24)


class Moment(NamedTuple):
    """Readings of some devices, one an element."""

    keys: U64
    """Each device's key."""
    sequence: Numbers
    ts_us: Numbers


class Signal(Protocol):
    """A behaviour over time. Two signals of one name and one device have the same noise."""

    @property
    def low(self) -> int:
        """The least value possible."""
        ...

    @property
    def high(self) -> int:
        """The greatest value possible."""
        ...

    def at(self, moment: Moment) -> Raw:
        """The values at `moment`, element by element."""
        ...


def series_keys(moment: Moment, name: str) -> U64:
    """The key of the signal `name` on each device."""
    return mixed(moment.keys + _salt(name))


def spread(source: U64, reach: int) -> Raw:
    """Numbers from -reach to reach, evenly spread."""
    return modulo((source >> _NOISE_BITS).astype(np.int64), 2 * reach + 1) - reach


def position(keys: U64, ts_us: Numbers, period_us: int) -> Numbers:
    """Where in its period each time is; every device has a phase of its own."""
    return modulo(ts_us + modulo((keys >> _PHASE_BITS).astype(np.int64), period_us), period_us)


def modulo(numbers: Numbers, divisor: int) -> Numbers:
    """`numbers % divisor`, several times as fast: numpy divides by a constant, but has no rest."""
    rest: Numbers = numbers - numbers // divisor * divisor
    return rest


@cache
def _salt(name: str) -> np.uint64:
    return np.uint64(key_of(0, name))
