"""What both sources have in common: one connection after another, and how they stand.

What always holds: connections are numbered from 1 in the order in which the broker accepted them,
and the intake hears of one before the first of its messages; whatever ends a connection is logged
once, with what to do about it; nothing but an error of the intake, or of this code, ends `run`.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import structlog

from penstock.clock import Clock
from penstock.model import Message
from penstock.mqtt.reconnects import Reconnects
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.source import Intake, SourceStatus, Traffic
from penstock.mqtt.subscriptions import Subscribed
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

log = structlog.get_logger(__name__)


class ReconnectingSource(ABC):
    """A `Source` without the connection itself, which a subclass provides."""

    def __init__(
        self,
        settings: Mqtt,
        endpoint: Endpoint,
        intake: Intake,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.traffic = Traffic()
        self._settings = settings
        self._endpoint = endpoint
        self._intake = intake
        self._clock = clock
        self._reconnects = Reconnects(settings, random)
        self._state: Literal["connecting", "connected", "subscribed", "stopped"] = "connecting"
        self._detail = f"connecting to {endpoint}"
        self._accepted_at_seconds: float | None = None
        self._paused = False
        self._stop_requested = asyncio.Event()
        self._running = False
        self._ended = asyncio.Event()

    @property
    def status(self) -> SourceStatus:
        """How it stands now."""
        return SourceStatus(
            state=self._state,
            connection=self.traffic.connections_accepted,
            receive_maximum=self._receive_maximum,
            detail=self._detail,
        )

    async def run(self) -> None:
        """Connect, subscribe and deliver, reconnecting with backoff, until `stop` is called."""
        self._running = True
        try:
            while not self._stop_requested.is_set():
                await self._one_connection()
        finally:
            self._state, self._detail = "stopped", "stopped"
            self._ended.set()

    async def stop(self) -> None:
        """Send what was acknowledged, disconnect normally, end `run`."""
        self._stop_requested.set()
        self._leave()
        if self._running:
            await self._ended.wait()

    @property
    def _receive_maximum(self) -> int:
        return self._settings.receive_maximum

    @abstractmethod
    async def _converse(self) -> Refusal:
        """Connect, then deliver until the connection is over; why it is."""

    @abstractmethod
    def _leave(self) -> None:
        """End the present connection, or the attempt at one, in good order."""

    async def _one_connection(self) -> None:
        self._accepted_at_seconds = None
        refusal = await self._converse()
        if self._stop_requested.is_set():
            return
        verdict = self._reconnects.ended(
            refusal, self._accepted_at_seconds, self._clock.monotonic_seconds()
        )
        self.traffic.connections_ended += 1
        self._state, self._detail = "connecting", verdict.refusal.text
        # Patient refusals stay until somebody does something; the others usually pass.
        report = log.error if verdict.refusal.patient else log.warning
        report(
            "mqtt_disconnected",
            reason=verdict.refusal.name,
            detail=verdict.refusal.text,
            retry_in_seconds=round(verdict.delay_seconds, 2),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(verdict.delay_seconds):
                await self._stop_requested.wait()

    def _accepted(self, *, session_present: bool, keepalive_seconds: int) -> None:
        """The broker accepted the connection: number it, and tell the intake."""
        self.traffic.connections_accepted += 1
        self._accepted_at_seconds = self._clock.monotonic_seconds()
        self._state, self._detail = "connected", "waiting for the broker to grant the subscriptions"
        log.info(
            "mqtt_connected",
            broker=str(self._endpoint),
            connection=self.traffic.connections_accepted,
            session_present=session_present,
            keepalive_seconds=keepalive_seconds,
        )
        self._intake.connected(self.traffic.connections_accepted)

    def _subscribed(self, outcome: Subscribed) -> None:
        """The broker answered for every filter."""
        state: Literal["connected", "subscribed"] = "connected" if outcome.refused else "subscribed"
        detail = "; ".join(
            [
                *(refusal.text for refusal in outcome.refused),
                *(f"{p}: granted at QoS 0 only, so messages can be lost" for p in outcome.lowered),
            ]
        )
        if (state, detail) == (self._state, self._detail):
            return
        self._state, self._detail = state, detail
        if outcome.refused:
            log.error("mqtt_subscription_refused", detail=detail)
        elif detail:
            log.warning("mqtt_subscribed", detail=detail)
        else:
            log.info("mqtt_subscribed")

    def _deliver(self, messages: Sequence[Message]) -> None:
        """Hand messages to the intake."""
        if messages and not self._stop_requested.is_set():
            self.traffic.messages_received += len(messages)
            self._intake.accept(messages)
