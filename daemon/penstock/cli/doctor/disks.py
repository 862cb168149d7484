"""Free space of a disk, and what kind it is."""

import os
from pathlib import Path

import msgspec

_MOUNTS = Path("/proc/self/mountinfo")


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The file system that holds a path."""

    path: str
    free_bytes: int
    """For users other than root."""
    total_bytes: int
    device: int
    """What tells it from others on this machine."""
    kind: str
    """As the kernel names it: `ext4`, `tmpfs`, `nfs4`; empty where that is not known."""


def disk_of(path: Path) -> Disk | None:
    """The file system of a folder; `None` when this user cannot see it."""
    try:
        space = os.statvfs(path)
        device = path.stat().st_dev
    except OSError:
        return None
    return Disk(
        path=str(path),
        free_bytes=space.f_bavail * space.f_frsize,
        total_bytes=space.f_blocks * space.f_frsize,
        device=device,
        kind=_kind(f"{os.major(device)}:{os.minor(device)}"),
    )


def _kind(device: str) -> str:
    """The type of the file system on a device, after proc_pid_mountinfo(5)."""
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    for mount in mounts:
        fields, _, rest = mount.partition(" - ")
        if fields.split()[2] == device:
            return rest.split()[0]
    return ""
