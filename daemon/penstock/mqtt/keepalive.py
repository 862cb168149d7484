"""Decides when to send a PINGREQ, and when the connection is dead.

Pure: the time is passed in, in seconds of a clock that never goes back. Whatever is received is a
sign of life, so load cannot starve it. While reading is paused the answer to a ping waits unread in
the socket: pings go on, and nothing is concluded.
"""

from typing import Literal

_SHARE = 0.75
"""Of the keepalive, after which a ping is sent: the clock is looked at in steps."""


class Keepalive:
    """The liveness of one connection (MQTT 5 §3.1.2.10)."""

    def __init__(self, seconds: int, now_seconds: float) -> None:
        self._seconds = seconds
        self._sent_at = now_seconds
        self._checked_at = now_seconds
        self._unanswered_since: float | None = None

    @property
    def seconds(self) -> int:
        """The keepalive in force."""
        return self._seconds

    @property
    def check_interval_seconds(self) -> float:
        """How often `check` has to be asked."""
        return min(1.0, self._seconds / 8)

    def agreed(self, seconds: int) -> None:
        """Note the keepalive that the broker wants instead of ours (MQTT 5 §3.2.2.3.14)."""
        self._seconds = seconds

    def sent(self, now_seconds: float) -> None:
        """Note that a packet was sent: the next ping is due by that [MQTT-3.1.2-20]."""
        self._sent_at = now_seconds

    def heard(self) -> None:
        """Note that something was received."""
        self._unanswered_since = None

    def resumed(self, now_seconds: float) -> None:
        """Note that reading goes on after a pause: the broker has a whole keepalive to answer."""
        if self._unanswered_since is not None:
            self._unanswered_since = now_seconds

    def check(self, now_seconds: float, *, paused: bool) -> Literal["quiet", "ping", "dead"]:
        """What to do now; after "ping" the caller sends one and calls `sent`.

        A check that comes late means that this process stood still, not that the broker did.
        """
        if now_seconds - self._checked_at > self._seconds / 2:
            self.resumed(now_seconds)
        self._checked_at = now_seconds
        waiting_since = self._unanswered_since
        if waiting_since is not None and not paused and now_seconds - waiting_since > self._seconds:
            return "dead"
        if now_seconds - self._sent_at < self._seconds * _SHARE:
            return "quiet"
        if waiting_since is None:
            self._unanswered_since = now_seconds
        return "ping"
