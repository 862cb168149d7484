"""How timestamps are written: epoch numbers of every unit, and RFC 3339."""

from datetime import date, timedelta
from typing import Literal, NamedTuple

import numpy as np

from penstock_simulator.forms import Columns, put_digits
from penstock_simulator.signals import Raw

Clock = Literal["us", "ms", "s", "ns", "iso"]
"""What a device's timestamps look like."""

_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_BLANKS = {
    "us": b"0" * 16,
    "ms": b"0" * 13,
    "s": b"0" * 10,
    "ns": b"0" * 19,
    "iso": b'"0000-00-00T00:00:00.000000Z"',
}
_GRAINS_US = {"ms": 1_000, "s": 1_000_000}


def grain_us(clock: Clock) -> int:
    """The least difference between two timestamps."""
    return _GRAINS_US.get(clock, 1)


class ClockForm(NamedTuple):
    """Timestamps, which are given in µs and are whole multiples of the grain."""

    clock: Clock

    @property
    def blank(self) -> bytes:
        """A timestamp of the right width, for templates."""
        return _BLANKS[self.clock]

    def put(self, columns: Columns, raw: Raw) -> None:
        """Write timestamps."""
        match self.clock:
            case "iso":
                _put_iso(columns, raw)
            case "ns":
                put_digits(columns[:, :16], raw)
            case _:
                put_digits(columns, raw // grain_us(self.clock))


def _put_iso(columns: Columns, ts_us: Raw) -> None:
    days = ts_us // _DAY_US
    for day in np.unique(days).tolist():
        text = (_EPOCH + timedelta(days=day)).isoformat().encode()
        columns[days == day, 1:11] = np.frombuffer(text, dtype=np.uint8)
    rest = ts_us - days * _DAY_US
    seconds = rest // 1_000_000
    put_digits(columns[:, 21:27], rest - seconds * 1_000_000)
    minutes = seconds // 60
    put_digits(columns[:, 18:20], seconds - minutes * 60)
    hours = minutes // 60
    put_digits(columns[:, 15:17], minutes - hours * 60)
    put_digits(columns[:, 12:14], hours)
