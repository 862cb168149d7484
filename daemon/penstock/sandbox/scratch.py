"""Scratch folders that leave nothing behind, even when their owner was killed.

Each holds a lock file that its owner keeps locked. The kernel releases the lock with the process,
so a folder that can be locked has been abandoned, and whoever makes the next folder removes it.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_PREFIX = "penstock-"
_UNLOCKED_PREFIX = "new-penstock-"
_LOCK_NAME = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of a short path (a UNIX socket's path holds about 100 bytes), removed on leaving.

    Other users can pass through it, because PostgreSQL runs as another user when this one is root.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    folder, lock = _make_locked(parent)
    try:
        yield folder
    finally:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _make_locked(parent: Path) -> tuple[Path, IO[bytes]]:
    # It gets its name when it is locked: under that name it is never seen without its lock.
    unlocked = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
    lock = (unlocked / _LOCK_NAME).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    unlocked.chmod(0o711)
    return unlocked.rename(parent / unlocked.name.removeprefix("new-")), lock


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK_NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
