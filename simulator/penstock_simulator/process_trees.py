"""What the kernel says of a process and all its descendants: processor time and memory (proc(5)).

A process that ended and was waited for counts on in its parent's time, so the time of a tree does
not go back when a database backend ends. Pages that several processes share are counted once: a
tree's memory is what each of its processes has to itself, and the most that any one of them has
of shared memory and mapped files. Nothing here raises for a process that is gone.
"""

import os
from pathlib import Path
from typing import NamedTuple

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME = 11
"""The place of utime, stime, cutime and cstime in /proc/PID/stat, after the name in parentheses."""


class Use(NamedTuple):
    """What processes have used so far, and hold now."""

    cpu_seconds: float
    resident_bytes: int


def tree_use(process_id: int) -> Use | None:
    """What a process and its descendants use; `None` when it is gone."""
    found = [status for status in map(_read, _tree(process_id)) if status is not None]
    if not found:
        return None
    own_bytes = sum(status.own_bytes for status in found)
    return Use(
        cpu_seconds=sum(s.cpu_ticks + s.waited_ticks for s in found) / _TICKS_PER_SECOND,
        resident_bytes=own_bytes + max(status.shared_bytes for status in found),
    )


def process_use(process_id: int) -> Use | None:
    """What a process uses without its descendants; `None` when it is gone."""
    status = _read(process_id)
    if status is None:
        return None
    return Use(status.cpu_ticks / _TICKS_PER_SECOND, status.own_bytes + status.shared_bytes)


class _Status(NamedTuple):
    cpu_ticks: int
    waited_ticks: int
    """Of children that ended and were waited for, and of theirs."""
    own_bytes: int
    shared_bytes: int


def _tree(process_id: int) -> list[int]:
    """A process and its descendants, those of all its threads."""
    found = [process_id]
    for parent in found:
        try:
            listings = [
                listing.read_text() for listing in Path(f"/proc/{parent}/task").glob("*/children")
            ]
        except OSError:
            continue
        found.extend(int(child) for listing in listings for child in listing.split())
    return found


def _read(process_id: int) -> _Status | None:
    folder = Path(f"/proc/{process_id}")
    try:
        # The name may hold spaces and parentheses, but what follows it may not.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return None
    user, system, waited_user, waited_system = map(int, fields[_UTIME : _UTIME + 4])
    sizes = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
    own, mapped, shared = (
        int(sizes.get(name, "0 kB").split()[0]) * 1024
        for name in ("RssAnon", "RssFile", "RssShmem")
    )
    return _Status(user + system, waited_user + waited_system, own, mapped + shared)
