"""Makes sure that the process may open as many sockets as it needs."""

import resource
from pathlib import Path

MOST_CONNECTIONS = 20_000
"""Connections of one process: TCP gives one address about 28,000 ports to one broker."""

_SPARE = 32


def allow_connections(count: int) -> None:
    """Raise the process's limit of open files for so many more connections.

    Raises:
        OSError: the system's hard limit is too low.
        ValueError: these are more than one process can have.
    """
    if count > MOST_CONNECTIONS:
        raise ValueError(
            f"one process has at most {MOST_CONNECTIONS:,} connections, not {count:,}:"
            " share the lanes among several"
        )
    needed = _open_files() + count + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= soft or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise OSError(
            f"{count:,} connections need {needed:,} open files, but this process may have {hard:,}:"
            " raise the hard limit (ulimit -Hn, LimitNOFILE=) or use fewer connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _open_files() -> int:
    listing = Path("/proc/self/fd")
    return sum(1 for _ in listing.iterdir()) if listing.exists() else _SPARE
