"""Disk space set aside, so that a full disk does not keep the spool from being drained.

To take a batch out of an SQLite file needs a little disk: a few pages in the write-ahead log, and
room to copy the log into the file. While batches are put in, a file beside the spool holds that
much; when the disk is full it is deleted, and nothing is put in until it can be made again.
"""

import os
import shutil
from pathlib import Path

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.faults import SpoolFault, judged

RESERVE_BYTES = 16 * 1024 * 1024
MARGIN_BYTES = 8 * 1024 * 1024
"""What has to be free besides, or the disk would be full again at once."""


class Reserve:
    """The file that holds the space."""

    def __init__(self, spool: Path) -> None:
        self._path = spool.with_name(spool.name + ".reserve")
        self._held = False

    def hold(self) -> None:
        """Make the file unless it is there; `SpoolFault` when the disk has no room for it."""
        if self._held:
            return
        try:
            with judged():
                self._make()
                _check_margin(shutil.disk_usage(self._path.parent).free)
        except SpoolFault:
            self.release()
            raise
        self._held = True

    def release(self) -> None:
        """Give the space back to the disk."""
        self._held = False
        with judged():
            self._path.unlink(missing_ok=True)

    def _make(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        finally:
            os.close(descriptor)


def _check_margin(free_bytes: int) -> None:
    if free_bytes < MARGIN_BYTES:
        raise SpoolFault(
            SpoolFaultKind.DISK_FULL,
            f"the disk of the spool is nearly full ({free_bytes} bytes free); free space on it, or"
            " enlarge it",
        )
