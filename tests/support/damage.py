"""Damage to the files of a spool that nobody has open: bits that flip, ends that are missing.

Everything is drawn from the `random.Random` that is given, so a seed makes the same damage again.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple


class Damaged(NamedTuple):
    """One thing that was done to a file."""

    file: Path
    offset: int
    """Where the bit is, or the end now is."""


def files_of_spool(spool: Path) -> list[Path]:
    """The file and its write-ahead log, as far as they are there and not empty."""
    return [
        file
        for file in (spool, spool.with_name(f"{spool.name}-wal"))
        if file.exists() and file.stat().st_size
    ]


def flip_bits(files: Sequence[Path], bits: int, randomness: Random) -> list[Damaged]:
    """Flip so many bits anywhere in the files, each byte of which is as likely as any other."""
    done = []
    for _ in range(bits):
        file, offset = _place(files, randomness)
        with file.open("r+b") as stream:
            stream.seek(offset)
            (byte,) = stream.read(1)
            stream.seek(offset)
            stream.write(bytes([byte ^ 1 << randomness.randrange(8)]))
        done.append(Damaged(file, offset))
    return done


def truncate(files: Sequence[Path], randomness: Random) -> Damaged:
    """Cut one of the files, at an offset that is anywhere in them, 0 included."""
    file, offset = _place(files, randomness)
    os.truncate(file, offset)
    return Damaged(file, offset)


def _place(files: Sequence[Path], randomness: Random) -> tuple[Path, int]:
    sizes = [file.stat().st_size for file in files]
    place = randomness.randrange(sum(sizes))
    for file, size in zip(files, sizes, strict=True):
        if place < size:
            return file, place
        place -= size
    raise AssertionError
