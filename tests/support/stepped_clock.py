"""A daemon whose wall clock a test sets forward and back while it runs.

Run as `python tests/support/stepped_clock.py FILE run --config CONFIG`; the file, made by
`SteppedClock`, is shared with the test, so that a step takes effect at once. The monotonic clock
goes on undisturbed, as it does on a machine whose time is set.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

from penstock.cli import main

_NANOSECONDS = struct.Struct("<q")


class SteppedClock:
    """How far a daemon's wall clock is off."""

    def __init__(self, path: Path) -> None:
        """Share it through a file, which is made if need be."""
        if not path.exists():
            path.write_bytes(bytes(_NANOSECONDS.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _NANOSECONDS.size)
        self.command = (sys.executable, __file__, str(path))
        """Runs the daemon under it."""

    @property
    def off_ns(self) -> int:
        """Nanoseconds that the wall clock is ahead."""
        (off_ns,) = _NANOSECONDS.unpack(self._shared[:])
        assert isinstance(off_ns, int)
        return off_ns

    def set(self, *, seconds_ahead: float) -> None:
        """Step the wall clock; what it was off before does not matter."""
        self._shared[:] = _NANOSECONDS.pack(round(seconds_ahead * 1e9))


def _falsify(clock: SteppedClock) -> None:
    """Have everything in this process that asks for the time of day see the stepped clock."""
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + clock.off_ns
    time.time = lambda: time.time_ns() / 1e9


if __name__ == "__main__":
    _falsify(SteppedClock(Path(sys.argv.pop(1))))
    main()
