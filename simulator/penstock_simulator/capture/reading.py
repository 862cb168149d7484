"""Reads a capture, message by message, in little memory however long it is.

What always holds: any beginning of a capture that has the header yields a beginning of its
messages, and `truncated` tells so afterwards. A line that is no message is an error with its
number, and nothing is guessed.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from penstock_simulator.capture.message import VERSION, Captured, Header

_CHUNK_BYTES = 262_144
_GZIP_MAGIC = b"\x1f\x8b"


class CaptureError(Exception):
    """A file is not a capture, or is damaged; the text says where."""


class CaptureReader:
    """A capture that is being read; `path` is read anew by each call of `messages`.

    Raises:
        CaptureError: it is not a capture, or was cut off before its first message.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decode = msgspec.json.Decoder(Captured).decode
        self.truncated = False
        """Whether its end is missing; known when all messages were read."""
        with self._open() as file:
            self.header = self._header(next(self._lines(file), b""))

    def messages(self) -> Iterator[Captured]:
        """Its messages, in the order received.

        Raises:
            CaptureError: it is damaged.
        """
        with self._open() as file:
            lines = self._lines(file)
            next(lines)
            for number, line in enumerate(lines, start=2):
                try:
                    message = self._decode(line)
                except msgspec.MsgspecError as error:
                    if line.endswith(b"\n"):
                        raise CaptureError(f"{self._path}, line {number}: {error}") from None
                    self.truncated = True
                    return
                yield message

    def _header(self, line: bytes) -> Header:
        try:
            return msgspec.json.decode(line, type=Header)
        except msgspec.MsgspecError as error:
            fault = str(error) if line.endswith(b"\n") else "it is cut off, or missing"
            raise CaptureError(
                f"{self._path} is not a capture of version {VERSION}; its header: {fault}"
            ) from None

    def _open(self) -> BinaryIO:
        with self._path.open("rb") as file:
            compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        if compressed:
            return cast(BinaryIO, gzip.open(self._path, "rb"))
        return self._path.open("rb")

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        """The lines; the last one may lack its end."""
        rest: list[bytes] = []
        while chunk := self._chunk(file):
            rest.append(chunk)
            if b"\n" in chunk:
                lines = b"".join(rest).splitlines(keepends=True)
                rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]
                yield from lines
        if rest:
            yield b"".join(rest)

    def _chunk(self, file: BinaryIO) -> bytes:
        """Some bytes more; none at the end, and where the rest is missing."""
        try:
            return cast(gzip.GzipFile, file).read1(_CHUNK_BYTES)
        except EOFError:
            self.truncated = True
            return b""
        except (zlib.error, gzip.BadGzipFile) as error:
            raise CaptureError(f"{self._path} is damaged: {error}") from None
