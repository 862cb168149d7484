"""Keeps a spool to one program at a time.

The lock is the kernel's (flock), so it ends with the process however that ends, and the file that
carries it may stay. It is not the spool's own file, because that is replaced after damage.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.faults import SpoolFault, judged


class SpoolLock:
    """The right to use one spool."""

    def __init__(self, spool: Path) -> None:
        """Take it.

        Errors: `SpoolFault`, of the kind `locked` when another program has it.
        """
        self._path = spool.with_name(spool.name + ".lock")
        with judged():
            # No link: another file would be emptied below.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, 0o600)
        try:
            with judged():
                self._take(spool)
        except BaseException:
            os.close(self._file)
            raise
        # For the reader of the text below; the lock itself holds on a full disk as well.
        with suppress(OSError):
            os.truncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def _take(self, spool: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            raise SpoolFault(
                SpoolFaultKind.LOCKED,
                f"the spool {spool} is in use by process {holder or 'unknown'}: "
                "end that one, or give each daemon a spool.path of its own",
            ) from None
