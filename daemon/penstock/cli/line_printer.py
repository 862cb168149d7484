"""Writes lines in a thread of its own.

What always holds: offering a line never waits for the output; lines come out whole and in the order
offered, but for those left out, which are counted, because too many were waiting.
"""

import os
import threading
from collections.abc import Callable

MAX_LINES = 10_000
_FAREWELL_SECONDS = 2.0


class LinePrinter:
    """Writes to a file descriptor; `closed` is called, in the thread, when its reader has gone."""

    def __init__(self, descriptor: int, closed: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._closed = closed
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._closing = False
        self.left_out = 0
        # Not waited for at exit when it hangs in a write: a pager that nobody scrolls must not keep
        # us.
        self._thread = threading.Thread(target=self._run, name="line-printer", daemon=True)
        self._thread.start()

    def offer(self, line: bytes) -> bool:
        """Take a line, given without its end, or leave it out; says which."""
        with self._changed:
            taken = len(self._waiting) < MAX_LINES
            if taken:
                self._waiting.append(line)
                self._changed.notify()
            else:
                self.left_out += 1
        return taken

    def close(self) -> None:
        """Write what was taken, as far as somebody reads it within two seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_FAREWELL_SECONDS)

    def _run(self) -> None:
        try:
            while lines := self._take():
                self._write(b"\n".join(lines) + b"\n")
        except OSError:
            # Any error of a write is the end of the output; the usual one is EPIPE, of `| head`.
            self._closed()

    def _take(self) -> list[bytes]:
        """All lines that wait; none when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            lines, self._waiting = self._waiting, []
        return lines

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
