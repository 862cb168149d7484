"""Looks at the spool from outside: it opens neither the file nor its lock, and makes nothing."""

import os
import pwd
from pathlib import Path

from penstock.cli.doctor.disks import disk_of
from penstock.cli.doctor.spool import SpoolFacts

_LOCKS = Path("/proc/locks")


def spool_facts(spool: Path) -> SpoolFacts:
    """What can be seen of a spool."""
    folder, user = spool.parent, _name(os.geteuid())
    try:
        owner = _name(folder.stat().st_uid)
        file_owner = _owner(spool)
    except (FileNotFoundError, NotADirectoryError):
        return SpoolFacts(folder=str(folder), visible=True, user=user)
    except OSError:
        return SpoolFacts(folder=str(folder), visible=False, user=user)
    return SpoolFacts(
        folder=str(folder),
        visible=True,
        exists=folder.is_dir(),
        is_file=not spool.is_dir(),
        writable=os.access(folder, os.W_OK | os.X_OK),
        user=user,
        owner=owner,
        file_owner=file_owner,
        file_bytes=_size(spool) + _size(_beside(spool, "-wal")),
        reserve_bytes=_size(_beside(spool, ".reserve")),
        holder=_holder(_beside(spool, ".lock")),
        disk=disk_of(folder),
    )


def _beside(spool: Path, suffix: str) -> Path:
    return spool.with_name(spool.name + suffix)


def _owner(file: Path) -> str | None:
    try:
        return _name(file.stat().st_uid)
    except FileNotFoundError:
        return None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _holder(lock: Path) -> int | None:
    """The process that holds the lock, as the kernel lists it (proc_locks(5)).

    Trying the lock would keep a daemon out that starts at that moment.
    """
    try:
        inode = str(lock.stat().st_ino)
        locks = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in locks:
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
            return int(fields[4])
    return None


def _name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"user {user_id}"
