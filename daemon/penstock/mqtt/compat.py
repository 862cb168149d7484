"""The source for brokers of MQTT 3.1.1, and for WebSockets: through aiomqtt.

It is held to the same contract as the hot path, by the same tests, at a tenth of its speed. What it
cannot do: tell why a broker of MQTT 3.1.1 hung up, ask for a window larger than that broker's own,
count pings, or cut down payloads as they stream in.
"""

import ssl
from collections.abc import Sequence

import aiomqtt
from paho.mqtt.client import WebsocketConnectionError

from penstock.mqtt import failures
from penstock.mqtt.connection import Connected
from penstock.mqtt.paho import PahoConnection
from penstock.mqtt.reconnecting import ReconnectingSource
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.subscriptions import Subscriptions

_CHECK_SECONDS = 1.0


class CompatSource(ReconnectingSource):
    """One session through aiomqtt, connection after connection; see `source.Source`."""

    _connection: PahoConnection | None
    _subscriptions: Subscriptions

    def accepted(self, *, session_present: bool) -> None:
        """Called by the connection when the broker accepted it."""
        self.connected(Connected(session_present, self._settings.keepalive_seconds))
        self._ask(self._subscriptions.first())

    def answered(self, patterns: Sequence[str], codes: Sequence[int]) -> None:
        """Called by the connection when the broker answered for some filters."""
        self._subscriptions.answered(patterns, codes)
        outcome = self._subscriptions.outcome()
        if outcome is not None:
            self.subscribed(outcome)

    @property
    def _receive_maximum(self) -> int:
        return 0 if self._settings.protocol == "3.1.1" else self._settings.receive_maximum

    async def _converse(self, tls: ssl.SSLContext | None) -> Refusal:
        self._subscriptions = Subscriptions(self._settings, self._filters)
        connection = PahoConnection(self._settings, self._endpoint, tls, self)
        with self._present(connection):
            try:
                async with connection:
                    await self._hold(connection)
            except aiomqtt.MqttError as error:
                cause = error.__context__  # aiomqtt hides it from tracebacks only
            else:
                cause = None
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
