"""Small disks that are really full, and limits on a process that runs already.

What always holds: a disk is unmounted and the limits are put back when the block ends, whatever
happened in it. Needs root; without it the test is skipped, with the reason.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest

MEBIBYTE = 1_048_576
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where there is one, a folder for tests that play no power cut: hundreds of fsyncs take long."""

Limit = Literal["RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_AS"]
"""Bytes of a file, open files, bytes of address space (getrlimit(2))."""


class SmallDisk:
    """A mounted file system of a fixed size, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    @property
    def free_bytes(self) -> int:
        """What can still be written."""
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all of the free space but so much; what was taken before stays taken."""
        while (more_bytes := self.free_bytes - leave_bytes) > 0:
            # Whoever else writes there may have been quicker.
            with suppress(OSError), self._filling.open("ab") as file:
                os.posix_fallocate(file.fileno(), file.tell(), more_bytes)

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filling.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Have the kernel refuse every write; fails while a file is open for writing."""
        _run("mount", "-o", "remount,ro", str(self.folder))

    def make_writable(self) -> None:
        """Undo `make_read_only`."""
        _run("mount", "-o", "remount,rw", str(self.folder))


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many MiB at `folder`, which is made."""
    _need_root("mount a file system")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot mount a file system: {error.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # What still has a file open there keeps the memory until it ends, but not the name.
        _run("umount", "--lazy", str(folder))


@contextmanager
def limited(process_id: int, limit: Limit, value: int) -> Iterator[None]:
    """Lower the soft limit of a process that runs, until the block ends (prlimit(2))."""
    if process_id != os.getpid():
        _need_root("limit another process")
    number = getattr(resource, limit)
    soft, hard = resource.prlimit(process_id, number)
    resource.prlimit(process_id, number, (value, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(process_id, number, (soft, hard))


def _need_root(what: str) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"needs to be root, to {what}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
