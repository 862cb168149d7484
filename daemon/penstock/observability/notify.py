"""Notices to systemd over `$NOTIFY_SOCKET`, as sd_notify(3) and sd_watchdog_enabled(3) describe.

Without the variable every notice does nothing, so the daemon calls this wherever it runs. A notice
that cannot be sent is dropped: a supervisor that is away must not stop the daemon.
"""

import os
import socket
from collections.abc import Mapping
from typing import Self


class Notifier:
    """Tells the service manager how far the daemon is."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _watchdog_seconds(environ, os.getpid())
        """How often the manager wants to hear `watchdog` at the latest, or `None` for never."""

    @classmethod
    def from_environment(cls) -> Self:
        """The notifier that this process's own environment asks for."""
        return cls(os.environ)

    def ready(self, status: str = "running") -> None:
        """Start-up is done; units that wait for this one may start."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def stopping(self, status: str = "draining") -> None:
        """Shutdown has begun."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={_line(status)}")

    def watchdog(self) -> None:
        """The daemon is alive; to be called at less than half of `watchdog_seconds`."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def _send(self, notice: str) -> None:
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # A manager whose buffer is full would otherwise hold the event loop.
            sender.settimeout(0.0)
            try:
                sender.sendto(notice.encode("utf-8", "replace"), self._address)
            except OSError:
                return


def _address(name: str) -> str | None:
    """The socket's address; a leading `@` stands for the abstract namespace, unix(7)."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 1_000_000 if microseconds > 0 else None


def _line(text: str) -> str:
    return " ".join(text.split())
