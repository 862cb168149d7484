"""What a scenario does to its stack, as its file says it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from penstock_simulator.life import Seconds
from penstock_simulator.pace import Span

Server = Literal["broker", "daemon", "database"]


class Disturbance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A server of a private stack is stopped or killed while the groups publish, and started again.

    A broker cannot be killed: it loses what it has acknowledged since it saved itself the last
    time, and no daemon can make up for that.
    """

    stop: Server | None = None
    """Asked to end (SIGTERM, or what its manual says)."""
    kill: Literal["daemon", "database"] | None = None
    """Ended with SIGKILL."""
    at_seconds: Seconds
    for_seconds: Span

    @property
    def server(self) -> Server:
        """Which one."""
        server = self.stop or self.kill
        assert server is not None, "checked when its file was read"
        return server


def fault_in(disturbances: Sequence[Disturbance]) -> tuple[int, str] | None:
    """Which of them cannot be carried out, and why; they are one after the other."""
    until = 0.0
    for position, disturbance in enumerate(disturbances):
        if (disturbance.stop is None) == (disturbance.kill is None):
            return position, "say what to stop or what to kill"
        if disturbance.at_seconds < until:
            return position, "begins before the one before it is over"
        until = disturbance.at_seconds + disturbance.for_seconds
    return None
