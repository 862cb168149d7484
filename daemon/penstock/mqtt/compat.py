"""The source for brokers of MQTT 3.1.1, and for WebSockets: through aiomqtt.

It is held to the same contract as the hot path, by the same tests, at a tenth of its speed. What it
cannot do: tell why a broker of MQTT 3.1.1 hung up, ask for a window larger than that broker's own,
count pings, or cut down payloads as they stream in.
"""

import ssl
from collections.abc import Callable, Sequence

import aiomqtt
from paho.mqtt.client import WebsocketConnectionError

from penstock.clock import Clock
from penstock.model import Message
from penstock.mqtt import failures
from penstock.mqtt.paho import PahoConnection
from penstock.mqtt.reconnecting import ReconnectingSource
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.source import Intake
from penstock.mqtt.subscriptions import Subscriptions
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

_CHECK_SECONDS = 1.0


class CompatSource(ReconnectingSource):
    """One session through aiomqtt, connection after connection; see `source.Source`."""

    def __init__(
        self,
        settings: Mqtt,
        endpoint: Endpoint,
        filters: Sequence[str],
        intake: Intake,
        clock: Clock,
        random: Callable[[], float],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(settings, endpoint, intake, clock, random)
        self._filters = filters
        self._tls = tls
        self._subscriptions = Subscriptions(settings, filters)
        self._connection: PahoConnection | None = None
        self._is_accepted = False

    def acknowledge(self, connection: int, packet_ids: Sequence[int]) -> None:
        """Acknowledge each packet, in this order, on the connection that delivered it."""
        present = self._connection
        if present is None or not self._is_accepted or present.over:
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

    def accepted(self, *, session_present: bool) -> None:
        """Called by the connection when the broker accepted it."""
        self._is_accepted = True
        self._accepted(
            session_present=session_present, keepalive_seconds=self._settings.keepalive_seconds
        )
        self._ask(self._subscriptions.first())

    def answered(self, patterns: Sequence[str], codes: Sequence[int]) -> None:
        """Called by the connection when the broker answered for some filters."""
        self._subscriptions.answered(patterns, codes)
        outcome = self._subscriptions.outcome()
        if outcome is not None:
            self._subscribed(outcome)

    def received(self, size_bytes: int, messages: Sequence[Message]) -> None:
        """Called by the connection with what was read in one go."""
        self.traffic.bytes_received += size_bytes
        self._deliver(messages)

    @property
    def _receive_maximum(self) -> int:
        return 0 if self._settings.protocol == "3.1.1" else self._settings.receive_maximum

    async def _converse(self) -> Refusal:
        connection = PahoConnection(self._settings, self._endpoint, self._tls, self)
        self._connection, self._is_accepted = connection, False
        self._subscriptions = Subscriptions(self._settings, self._filters)
        if self._paused:
            connection.pause()
        try:
            async with connection:
                await self._hold(connection)
        except aiomqtt.MqttError as error:
            cause = error.__context__  # aiomqtt hides it from tracebacks only
        else:
            cause = None
        finally:
            connection.abort()
            self._connection = None
        if connection.error is not None:
            raise connection.error
        return connection.refusal or self._refusal(cause)

    async def _hold(self, connection: PahoConnection) -> None:
        """Stay until the connection is over."""
        try:
            while not connection.over:
                leaving = self._stop_requested.is_set()
                await connection.wait(_CHECK_SECONDS)
                if leaving:
                    break
                connection.keep_alive()
                self._ask(self._subscriptions.again(self._clock.monotonic_seconds()))
            await connection.linger()
        finally:
            connection.abort()

    def _ask(self, patterns: Sequence[str]) -> None:
        if patterns and self._connection is not None:
            self._connection.ask(patterns)

    def _refusal(self, cause: BaseException | None) -> Refusal:
        """Why a connection is over that the broker did not end with a reason."""
        if isinstance(cause, WebsocketConnectionError):
            return failures.no_websocket(self._endpoint, cause)
        if isinstance(cause, OSError):
            return failures.unreachable(self._endpoint, cause)
        return failures.lost(self._endpoint, None, answered=self._is_accepted)

    def _leave(self) -> None:
        if self._connection is not None:
            if self._is_accepted:
                self._connection.leave()
            else:
                self._connection.abort()
