"""The source for brokers of MQTT 3.1.1, and for WebSockets: through aiomqtt.

It is held to the same contract as the hot path, by the same tests, at a tenth of its speed. What it
cannot do: tell why a broker of MQTT 3.1.1 hung up, ask for a window larger than that broker's own,
count pings, or cut down payloads as they stream in.
"""

import ssl

import aiomqtt
from paho.mqtt.client import WebsocketConnectionError

from penstock.mqtt import failures
from penstock.mqtt.paho import PahoConnection
from penstock.mqtt.reconnecting import ReconnectingSource
from penstock.mqtt.refusals import Refusal

_CHECK_SECONDS = 1.0


class CompatSource(ReconnectingSource):
    """One session through aiomqtt, connection after connection; see `source.Source`."""

    @property
    def _receive_maximum(self) -> int:
        return 0 if self._settings.protocol == "3.1.1" else self._settings.receive_maximum

    async def _converse(self, tls: ssl.SSLContext | None) -> Refusal:
        connection = PahoConnection(self._settings, self._endpoint, self._filters, tls, self)
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
                connection.check(self._clock.monotonic_seconds())
            await connection.linger()
        finally:
            connection.abort()

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
