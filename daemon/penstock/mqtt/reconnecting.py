"""What both sources have in common: one connection after another, and how they stand.

What always holds: connections are numbered from 1 in the order in which the broker accepted them,
and the intake hears of one before the first of its messages, and of none after `stop`; whatever
ends a connection is logged once, with what to do about it; nothing but an error of the intake, or
of this code, ends `run`.
"""

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import structlog

from penstock.clock import Clock
from penstock.errors import ConfigError
from penstock.model import Message
from penstock.mqtt import failures
from penstock.mqtt.connection import Connected, Connection
from penstock.mqtt.reconnects import Reconnects
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.source import Intake, SourceStatus, Traffic
from penstock.mqtt.subscriptions import Subscribed
from penstock.mqtt.tls import tls_context
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

log = structlog.get_logger(__name__)


class ReconnectingSource(ABC):
    """A `Source` without the connection itself, which a subclass provides."""

    def __init__(
        self,
        settings: Mqtt,
        endpoint: Endpoint,
        filters: Sequence[str],
        intake: Intake,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.traffic = Traffic()
        self._settings = settings
        self._endpoint = endpoint
        self._filters = filters
        self._intake = intake
        self._clock = clock
        self._reconnects = Reconnects(settings, random)
        self._state: Literal["connecting", "connected", "subscribed", "stopped"] = "connecting"
        self._detail = f"connecting to {endpoint}"
        self._connection: Connection | None = None
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

    def acknowledge(self, connection: int, packet_ids: Sequence[int]) -> None:
        """Acknowledge each packet, in this order, on the connection that delivered it."""
        present = self._connection
        if present is None or present.over or not self._is_accepted:
            return
        if connection == self.traffic.connections_accepted:
            present.acknowledge(packet_ids)
            self.traffic.acknowledgements_sent += len(packet_ids)

    def pause(self) -> None:
        """Hand on no more messages; keepalive goes on."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Go on after `pause`, in the event loop's next round."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume()

    async def stop(self) -> None:
        """Send what was acknowledged, disconnect normally, end `run`."""
        self._stop_requested.set()
        self._leave()
        if self._running:
            await self._ended.wait()

    def connected(self, event: Connected) -> None:
        """Called by the connection when the broker accepted it: number it, and tell the intake."""
        if not event.session_present and self._is_session_expected():
            self._session_lost()
        self.traffic.connections_accepted += 1
        self._accepted_at_seconds = self._clock.monotonic_seconds()
        self._state, self._detail = "connected", "waiting for the broker to grant the subscriptions"
        log.info(
            "mqtt_connected",
            broker=str(self._endpoint),
            connection=self.traffic.connections_accepted,
            session_present=event.session_present,
            keepalive_seconds=event.keepalive_seconds,
        )
        self._intake.connected(self.traffic.connections_accepted)

    def subscribed(self, event: Subscribed) -> None:
        """Called by the connection when the broker answered for every filter."""
        state: Literal["connected", "subscribed"] = "connected" if event.refused else "subscribed"
        detail = "; ".join(
            [
                *(refusal.text for refusal in event.refused),
                *(f"{p}: granted at QoS 0 only, so messages can be lost" for p in event.lowered),
            ]
        )
        if (state, detail) == (self._state, self._detail):
            return
        self._state, self._detail = state, detail
        if event.refused:
            log.error("mqtt_subscription_refused", detail=detail)
        elif detail:
            log.warning("mqtt_subscribed", filters=list(self._filters), detail=detail)
        else:
            log.info("mqtt_subscribed", filters=list(self._filters))

    def received(self, size_bytes: int, messages: Sequence[Message]) -> None:
        """Called by the connection with what was read in one go."""
        self.traffic.bytes_received += size_bytes
        if messages and not self._stop_requested.is_set():
            self.traffic.messages_received += len(messages)
            self._intake.accept(messages)

    def _is_session_expected(self) -> bool:
        """Whether we had a session with the broker, and it was to keep it (MQTT 5 §3.1.2.11.2)."""
        return self.traffic.connections_accepted > 0 and self._settings.session_expiry_seconds > 0

    def _session_lost(self) -> None:
        """Say what nothing else shows: messages that waited in the broker and never reach us."""
        self.traffic.sessions_lost += 1
        log.warning(
            "mqtt_session_lost",
            client_id=self._settings.client_id,
            advice="the broker dropped our session, and with it all that waited there for us: have "
            "it keep sessions over its restarts (in mosquitto: persistence true) for as long as "
            "mqtt.session_expiry_seconds, and let no other client use our client id, least of all "
            "with a clean start",
        )

    @property
    def _is_accepted(self) -> bool:
        """Whether the broker has accepted the present connection."""
        return self._accepted_at_seconds is not None

    @property
    def _receive_maximum(self) -> int:
        return self._settings.receive_maximum

    @abstractmethod
    async def _converse(self, tls: ssl.SSLContext | None) -> Refusal:
        """Connect, then deliver until the connection is over; why it is."""

    @abstractmethod
    def _leave(self) -> None:
        """End the present connection, or the attempt at one, in good order."""

    @contextlib.contextmanager
    def _present(self, connection: Connection) -> Iterator[None]:
        """Make it the present connection for the length of the context, after which it is closed.

        A source that is paused stays so over a reconnect.
        """
        self._connection = connection
        if self._paused:
            connection.pause()
        try:
            yield
        finally:
            connection.abort()
            self._connection = None

    async def _one_connection(self) -> None:
        self._accepted_at_seconds = None
        refusal = await self._attempt()
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

    async def _attempt(self) -> Refusal:
        """Connect with the certificates as they are now: they may be replaced while we run."""
        try:
            tls = tls_context(self._settings) if self._endpoint.tls else None
        except ConfigError as error:
            return failures.unusable_files(error)
        return await self._converse(tls)
