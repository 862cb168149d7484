"""Lets root look after a spool that another user's daemon has.

What always holds: what root makes beside a spool belongs to whoever the folder belongs to, or the
daemon could not open its spool any more; and nothing outside the folder is given away.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def give_to_owner(spool: Path) -> None:
    """Give a spool, and all that is beside it under its name, to the owner of the folder.

    Does nothing for others than root, nor on a disk that knows no owners.
    """
    for file in _files_of(spool):
        with suppress(OSError):
            _give(file, spool.parent)


def give_opened_to_owner(descriptor: int, folder: Path) -> None:
    """The same for an open file in the folder."""
    with suppress(OSError):
        _give(descriptor, folder)


def _give(file: Path | int, folder: Path) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=isinstance(file, int))


def _files_of(spool: Path) -> Iterator[Path]:
    for file in spool.parent.glob(f"{spool.name}*"):
        yield file
        if file.is_dir() and not file.is_symlink():
            yield from file.iterdir()
