"""How values are written into packets: columns of bytes of a fixed width, a value a row.

JSON allows blanks before and after a value, as firmware writes them that pads its numbers. So
every value of a metric is as wide as its widest, and all packets of a device are equally long.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.signals import Raw

Columns = NDArray[np.uint8]

_CHUNK = 4
_BLANK, _MINUS = ord(" "), ord("-")
_CHUNKS = np.frombuffer(
    b"".join(b"%04d" % number for number in range(10**_CHUNK)), dtype=np.uint8
).reshape(-1, _CHUNK)


class NumberForm(NamedTuple):
    """Numbers of so many decimals, between two bounds in units of the last one."""

    decimals: int
    low: int
    high: int

    @property
    def blank(self) -> bytes:
        """A number of the right width, for templates."""
        point = b"." + b"0" * self.decimals if self.decimals else b""
        return b" " * (self._whole_width - 1) + b"0" + point

    def put(self, columns: Columns, raw: Raw) -> None:
        """Write numbers."""
        size = np.abs(raw) if self.low < 0 else raw
        width = self._whole_width
        if self.decimals:
            unit = 10**self.decimals
            whole = size // unit
            put_digits(columns[:, width + 1 :], size - whole * unit)
        else:
            whole = size
        put_digits(columns[:, :width], whole)
        if self.padded:
            self._put_padding(columns[:, :width], whole, raw)

    @property
    def _whole_width(self) -> int:
        unit = 10**self.decimals
        width = len(str(max(self.high, 0) // unit))
        return width if self.low >= 0 else max(width, len(str(-self.low // unit)) + 1)

    @property
    def padded(self) -> bool:
        """Whether some numbers are shorter than others."""
        unit = 10**self.decimals
        return self.low < 0 or len(str(self.low // unit)) < len(str(self.high // unit))

    def _put_padding(self, columns: Columns, whole: Raw, raw: Raw) -> None:
        powers = 10 ** np.arange(columns.shape[1] - 1, 0, -1, dtype=np.int64)
        leading = whole[:, np.newaxis] < powers
        columns[:, :-1][leading] = _BLANK
        if self.low < 0:
            negative = np.flatnonzero(raw < 0)
            columns[negative, leading.sum(axis=1)[negative] - 1] = _MINUS


class WordForm(NamedTuple):
    """One of a few texts, by their position."""

    words: tuple[bytes, ...]

    @property
    def blank(self) -> bytes:
        """A text of the right width, for templates."""
        return self.words[0].ljust(max(map(len, self.words)))

    def put(self, columns: Columns, raw: Raw) -> None:
        """Write texts."""
        width = columns.shape[1]
        padded = b"".join(word.ljust(width) for word in self.words)
        columns[:] = np.frombuffer(padded, dtype=np.uint8).reshape(-1, width)[raw]


def put_digits(columns: Columns, numbers: Raw) -> None:
    """Write numbers that are not negative, with leading zeros, over all of the columns."""
    stop = columns.shape[1]
    while stop > 0:
        start = max(0, stop - _CHUNK)
        rest = numbers // 10**_CHUNK if start else np.zeros_like(numbers)
        columns[:, start:stop] = _CHUNKS[numbers - rest * 10**_CHUNK, _CHUNK - (stop - start) :]
        numbers, stop = rest, start
