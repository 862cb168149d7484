"""Judges how connections end: what to tell the operator, and how long to wait before the next.

Pure: time and chance are passed in.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from penstock.backoff import Backoff
from penstock.mqtt.refusals import Refusal
from penstock.settings.tree import Mqtt

_CONTEST_SECONDS = 60.0


class Verdict(NamedTuple):
    """What follows from the end of a connection."""

    refusal: Refusal
    delay_seconds: float


class Reconnects:
    """The ends of one source's connections, over its whole life."""

    def __init__(self, settings: Mqtt, random: Callable[[], float]) -> None:
        self._settings = settings
        self._backoff = Backoff(
            settings.reconnect_min_seconds, settings.reconnect_max_seconds, random
        )
        self._delay_seconds = 0.0
        self._contested_at: deque[float] = deque(maxlen=2)

    def ended(
        self, refusal: Refusal, accepted_at_seconds: float | None, now_seconds: float
    ) -> Verdict:
        """Judge a connection that ended now, and was accepted then, if ever.

        Delays begin anew after a connection that lasted longer than the delay before it, so that a
        network which fails every few seconds costs less than half of the time. One that another
        client may have ended has to last longer than any delay: two that reconnect at once would
        take the session from each other without end.
        """
        if accepted_at_seconds is not None:
            is_contest = self._is_contest(refusal)
            stable_seconds = self._backoff.max_seconds if is_contest else self._delay_seconds
            if now_seconds - accepted_at_seconds >= stable_seconds:
                self._backoff.reset()
            if is_contest:
                self._contested_at.append(now_seconds)
                refusal = self._contested(refusal, now_seconds)
        delay_seconds = self._backoff.next_seconds()
        self._delay_seconds = self._backoff.max_seconds if refusal.patient else delay_seconds
        return Verdict(refusal, self._delay_seconds)

    def _is_contest(self, refusal: Refusal) -> bool:
        """Whether another client may have taken the session; MQTT 3.1.1 just hangs up then."""
        if self._settings.protocol == "3.1.1":
            return refusal.name == "connection_lost"
        return refusal.name == "session_taken_over"

    def _contested(self, refusal: Refusal, now_seconds: float) -> Refusal:
        if len(self._contested_at) < 2 or now_seconds - self._contested_at[0] > _CONTEST_SECONDS:
            return refusal
        client_id, seconds = self._settings.client_id, f"{_CONTEST_SECONDS:.0f} s"
        if refusal.name == "connection_lost":
            return Refusal(
                "connection_lost_repeatedly",
                f"the connection was lost twice within {seconds}: perhaps another client uses the "
                f"same client id {client_id!r}, which MQTT 3.1.1 does not tell; give each client "
                "its own mqtt.client_id",
                patient=False,
            )
        return Refusal(
            "client_id_contested",
            f"another client uses the same client id {client_id!r}: the session was taken over "
            f"twice within {seconds}; give each client its own mqtt.client_id, or set "
            "mqtt.share_group to share the load",
            patient=True,
        )
