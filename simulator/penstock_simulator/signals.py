"""What the simulated sensors measure: a slow wave about each device's own level, with noise on it.

Values are whole thousandths, computed with integers only. A thousandth divided by 1000 in binary
floating point is the double nearest to its decimal text, which is what every JSON parser makes of
that text; so a stored value can be compared for equality. All values of a metric have as many
digits, so that packets of one device are equally long.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.identity import U64, bits

Thousandths = NDArray[np.int64]

_NOISE_BITS = np.uint64(40)
_WAVE_STEPS = 4096
_WAVE_PEAK_BITS = 20


class Signal(NamedTuple):
    """A metric's behaviour, in thousandths of its unit; `period_us` is the wave's."""

    centre: int
    spread: int
    """How far a device's own level may be from `centre`."""
    swing: int
    """Amplitude of the wave."""
    noise: int
    """Largest deviation of one reading; wide enough that a misplaced value is seen as wrong."""
    period_us: int = 86_400_000_000

    @property
    def low(self) -> int:
        """The least value possible."""
        return self.centre - self.spread - self.swing - self.noise

    @property
    def high(self) -> int:
        """The greatest value possible."""
        return self.centre + self.spread + self.swing + self.noise

    @property
    def digits(self) -> int:
        """Decimal digits of every value."""
        return len(str(self.high))


KNOWN: dict[str, Signal] = {
    "temperature": Signal(24_000, 3_000, 5_000, 2_000),
    "humidity": Signal(50_000, 8_000, 15_000, 4_000),
    "battery": Signal(75_000, 10_000, 8_000, 3_000, 604_800_000_000),
    "pressure": Signal(97_000, 500, 900, 900),
    "co2": Signal(550_000, 80_000, 150_000, 30_000),
    "voltage": Signal(230_000, 2_000, 4_000, 3_000, 3_600_000_000),
    "current": Signal(42_000, 12_000, 8_000, 4_000, 3_600_000_000),
    "power": Signal(520_000, 120_000, 90_000, 40_000, 3_600_000_000),
    "vibration": Signal(35_000, 5_000, 6_000, 5_000, 60_000_000),
    "level": Signal(55_000, 15_000, 20_000, 3_000, 1_800_000_000),
}
OTHER = Signal(55_000, 10_000, 20_000, 5_000, 600_000_000)


def metric_names(count: int) -> tuple[str, ...]:
    """The first `count` metrics that a device reports."""
    known = list(KNOWN)[:count]
    return (*known, *(f"metric_{number:04d}" for number in range(len(known) + 1, count + 1)))


def signal_of(metric: str) -> Signal:
    """How `metric` behaves."""
    return KNOWN.get(metric, OTHER)


def thousandths(
    signal: Signal, keys: U64, sequence: NDArray[np.int64], ts_us: NDArray[np.int64]
) -> Thousandths:
    """The readings of series `keys` at the given sequence numbers and times, element by element."""
    level = _offset(keys, signal.spread)
    noise = _offset(bits(keys, sequence), signal.noise)
    phase = (keys >> np.uint64(24)).astype(np.int64) % signal.period_us
    value: Thousandths = signal.centre + level + noise + _wave(ts_us + phase, signal)
    return value


def _offset(source: U64, reach: int) -> Thousandths:
    """A number from -reach to reach, evenly spread."""
    return (source >> _NOISE_BITS).astype(np.int64) % (2 * reach + 1) - reach


def _wave(ts_us: NDArray[np.int64], signal: Signal) -> Thousandths:
    """Two parabolas that pass for a sine: real sines differ between machines in the last bit."""
    step = ts_us % signal.period_us * _WAVE_STEPS // signal.period_us
    half = _WAVE_STEPS // 2
    within = step % half
    height = within * (half - within)
    swing: Thousandths = signal.swing * height >> _WAVE_PEAK_BITS
    return np.where(step < half, swing, -swing)
