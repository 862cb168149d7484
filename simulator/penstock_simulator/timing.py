"""What time readings have: a nominal step, with jitter, under clocks that are wrong.

Reading s of a device is taken at `start_us + s * step_us`, plus the device's own share of a step,
its clock's error, and less than a step of jitter. So a timestamp tells the sequence number, and
no two readings of a device have the same. All of it is so much earlier that no reading of a
batch, and none that overtakes a late one, is sent before it is taken.
"""

import numpy as np

from penstock_simulator.clocks import grain_us
from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.identity import bits, key_of

_BITS = np.uint64(20)


def timestamps_us(fleet: Fleet, devices: Numbers, sequence: Numbers) -> Numbers:
    """The time of each reading."""
    nominal = _first_us(fleet, devices) + sequence * fleet.step_us
    reach = fleet.jitter_us // grain_us(fleet.clock)
    if not reach:
        return nominal
    return nominal + _chosen(fleet, "jitter", devices, sequence, reach + 1) * grain_us(fleet.clock)


def timestamp_us(fleet: Fleet, device: int, sequence: int) -> int:
    """The time of one reading."""
    return int(timestamps_us(fleet, np.array([device]), np.array([sequence]))[0])


def sequences(fleet: Fleet, devices: Numbers, ts_us: Numbers) -> Numbers:
    """The sequence numbers that have these timestamps, or -1 where there is none."""
    elapsed = ts_us - _first_us(fleet, devices)
    sequence = elapsed // fleet.step_us
    right = (elapsed >= 0) & (timestamps_us(fleet, devices, sequence) == ts_us)
    return np.where(right, sequence, -1)


def _first_us(fleet: Fleet, devices: Numbers) -> Numbers:
    grain = grain_us(fleet.clock)
    step = fleet.step_us // grain
    ahead = fleet.batch * (2 if fleet.late_every else 1) - 1
    first = fleet.start_us // grain - ahead * step + devices * step // fleet.size
    reach = fleet.skew_us // grain
    if reach:
        first += _chosen(fleet, "skew", devices, np.zeros_like(devices), 2 * reach + 1) - reach
    return first * grain


def _chosen(fleet: Fleet, what: str, devices: Numbers, sequence: Numbers, count: int) -> Numbers:
    """A number below `count` for each reading."""
    keys = devices.astype(np.uint64) + np.uint64(key_of(fleet.seed, what) >> 1)
    return (bits(keys, sequence) >> _BITS).astype(np.int64) % count
