"""From figures to places on an axis, and to the words beside it. A place is from 0 to 1."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_INTERVALS = 4
_MOST_NINES = 6


class Tick(NamedTuple):
    """A figure that an axis names."""

    place: float
    label: str


class Scale(NamedTuple):
    """An axis."""

    place: Callable[[float], float]
    ticks: Sequence[Tick]


def linear(most: float, written: Callable[[float], str], *, steps: Sequence[float] = ()) -> Scale:
    """From 0 to a round figure that is `most` or a little more; `steps` are the ones to choose of.

    Without `steps` they are decimal.
    """
    step = _step(most, most / _INTERVALS, steps)
    count = max(1, math.ceil(most / step - 1e-9))
    top = count * step
    ticks = [Tick(number / count, written(number * step)) for number in range(count + 1)]
    return Scale(lambda value: value / top, ticks)


def until(last: float, written: Callable[[float], str], *, steps: Sequence[float]) -> Scale:
    """From 0 to `last` exactly, for time."""
    last = last or 1.0
    step = _step(last, last / (2 * _INTERVALS), steps)
    ticks = [
        Tick(number * step / last, written(number * step))
        for number in range(math.floor(last / step + 1e-9) + 1)
    ]
    return Scale(lambda value: value / last, ticks)


def logarithmic(least: float, most: float, written: Callable[[float], str]) -> Scale:
    """Between the powers of ten around `least` and `most`, both above 0; beyond is cut off."""
    first = math.floor(math.log10(least) + 1e-9)
    last = max(first + 1, math.ceil(math.log10(most) - 1e-9))
    ticks = [
        Tick((power - first) / (last - first), written(10.0**power))
        for power in range(first, last + 1)
    ]
    lowest, span = 10.0**first, last - first
    return Scale(lambda value: (math.log10(max(value, lowest)) - first) / span, ticks)


def nines(count: int) -> Scale:
    """Percentiles of `count` values, each further nine as wide as the one before.

    (G. Tene's HdrHistogram draws them so: the tail is what matters, and has no room otherwise.)
    """
    most = min(_MOST_NINES, max(1.0, math.log10(max(count, 1))))
    names = {math.log10(2): "p50", 1.0: "p90", 2.0: "p99", 3.0: "p99.9", 4.0: "p99.99"}
    ticks = [Tick(n / most, name) for n, name in names.items() if n <= most + 1e-9]
    return Scale(lambda share: min(1.0, -math.log10(max(1e-9, 1 - share)) / most), ticks)


_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_MINUTES, _HOURS = (60.0, 120.0, 300.0, 600.0, 1_800.0), (3_600.0, 7_200.0, 21_600.0, 86_400.0)
TIME_STEPS = (*_SECONDS, *_MINUTES, *_HOURS)


def _step(most: float, wanted: float, steps: Sequence[float]) -> float:
    """A step that is `wanted` or a little more."""
    if most <= 0:
        return 1.0
    if steps:
        return next((step for step in steps if step >= wanted), wanted)
    magnitude = 10.0 ** math.floor(math.log10(wanted))
    return magnitude * next(step for step in _STEPS if step * magnitude >= wanted * (1 - 1e-9))
