"""Chooses ports for servers that must be able to come back on the port they had."""

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

_LOWEST_PORT = 10_240
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_EPHEMERAL_START = 32_768
_ATTEMPTS = 200


def free_port() -> int:
    """A loopback port on which nothing listens now.

    It lies below the range from which the kernel takes the near end of outgoing connections, so
    that no connection can take it while its server restarts.

    Raises:
        OSError: no port was free in many attempts.
    """
    generator = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = generator.randrange(_LOWEST_PORT, _ephemeral_start())
        if _can_listen(port):
            return port
    raise OSError(f"no free port found in {_ATTEMPTS} attempts")


def accepts_connections(port: int) -> bool:
    """Whether something accepts TCP connections on a loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        start = _USUAL_EPHEMERAL_START
    return max(start, _LOWEST_PORT + 1_000)
