"""Writes a capture.

What always holds: what was flushed is readable, whatever ends the process afterwards; the file has
gzip's trailer only if it was closed, so that a reader can tell. What is not flushed is bounded by
whoever adds.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from penstock_simulator.capture.message import Captured, Header

_GZIP = 31
"""`wbits` of zlib for gzip's format with the largest window."""
_FASTEST = 1


class CaptureWriter:
    """A capture that is being written.

    Raises:
        OSError: the file is there already, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._zlib = zlib.compressobj(_FASTEST, wbits=_GZIP)
        self._encoder = msgspec.json.Encoder()
        self._pieces: list[bytes] = []
        self.pending_bytes = 0
        """How much was added since the last flush, uncompressed."""
        self.file_bytes = 0
        """What the file holds."""

    def begin(self, header: Header) -> None:
        """Write the header, before all else."""
        self._add(self._encoder.encode(header) + b"\n")
        self.flush()

    def add(self, messages: Sequence[Captured]) -> None:
        """Add messages, which are not in the file before the next flush."""
        self._add(self._encoder.encode_lines(messages))

    def flush(self) -> None:
        """Have the operating system take all that was added."""
        self._pieces.append(self._zlib.flush(zlib.Z_SYNC_FLUSH))
        self._write()

    def close(self) -> None:
        """End the file. What was added and not flushed is written too."""
        if self._file.closed:
            return
        self._pieces.append(self._zlib.flush(zlib.Z_FINISH))
        self._write()
        self._file.close()

    def _add(self, lines: bytes) -> None:
        self.pending_bytes += len(lines)
        self._pieces.append(self._zlib.compress(lines))

    def _write(self) -> None:
        view = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        self.pending_bytes = 0
        try:
            while view:
                written = self._file.write(view)
                self.file_bytes += written
                view = view[written:]
        except OSError:
            # Whatever followed would stand behind a gap; what is there stays readable.
            self._file.close()
            raise
