"""One connection through aiomqtt and paho, with what those leave to their users.

What always holds: acknowledging is manual from before the first byte, so nothing is acknowledged on
its own (a message of QoS 2 apart, which paho confirms before it hands it on; we subscribe with 1 at
most, so only a session that another program left behind can hold one). Everything is read in the
event loop, in one synchronous pass from the socket to the receiver. When the connection is over,
`over` is true and `refusal` says why.

Names with an underscore are used where paho and aiomqtt have no other way: to read by ourselves, to
see what aiomqtt does not pass on, and to close the socket without a farewell.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Sequence

import aiomqtt
from aiomqtt.types import PahoSocket
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from penstock.mqtt import failures, refusals
from penstock.mqtt.connection import Connected, Receiver
from penstock.mqtt.paho_inbox import PahoInbox
from penstock.mqtt.paho_reading import PahoReading
from penstock.mqtt.paho_subscribing import PahoSubscribing
from penstock.mqtt.refusals import Refusal
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

_FAREWELL_SECONDS = 2.0
"""How long the broker has to close the connection after our DISCONNECT."""


class PahoConnection(aiomqtt.Client):
    """An aiomqtt client for one connection."""

    def __init__(
        self,
        settings: Mqtt,
        endpoint: Endpoint,
        filters: Sequence[str],
        tls: ssl.SSLContext | None,
        receiver: Receiver,
    ) -> None:
        newest = settings.protocol == "5"
        super().__init__(
            endpoint.host,
            endpoint.port,
            username=settings.username,
            password=settings.password.reveal() if settings.password else None,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if newest else aiomqtt.ProtocolVersion.V311,
            clean_session=None if newest else settings.session_expiry_seconds == 0,
            clean_start=False if newest else MQTT_CLEAN_START_FIRST_ONLY,  # its "not set"
            properties=_connect_properties(settings) if newest else None,
            transport="websockets" if endpoint.websocket_path else "tcp",
            websocket_path=endpoint.websocket_path,
            timeout=settings.connect_timeout_seconds,
            keepalive=settings.keepalive_seconds,
            tls_context=tls,
        )
        self._client.manual_ack_set(on=True)  # later would lose messages on a reconnect
        self._client.connect_timeout = settings.connect_timeout_seconds
        self.refusal: Refusal | None = None
        self.error: Exception | None = None
        """What the receiver raised."""
        self._settings = settings
        self._endpoint = endpoint
        self._receiver = receiver
        self._accepted = False
        self._reported = False
        self._subscribing = PahoSubscribing(self._client, settings, filters)
        self._inbox = PahoInbox(self._client, settings)
        self._reading = PahoReading(self._client, self._inbox, self._read)
        self._session_present = False
        self._abandoned = False
        self._leaving = False
        self._farewell: socket.socket | None = None

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self._disconnected.done() or self._client.socket() is None

    async def wait(self, timeout_seconds: float) -> None:
        """Wait until the connection is over, at most so long."""
        await asyncio.wait((self._disconnected,), timeout=timeout_seconds)

    def check(self, now_seconds: float) -> None:
        """Do what is due by time."""
        if self._reading.paused:
            # The answer to a ping waits unread: paho is not to conclude anything from that.
            self._client._ping_t = 0.0  # noqa: SLF001
        if not self.over:
            self._subscribing.check(now_seconds)

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send acknowledgements in this order."""
        self._inbox.acknowledge(packet_ids)

    def pause(self) -> None:
        """Hand on nothing more, and read nothing more once the broker answered for the filters."""
        self._reading.pause()

    def resume(self) -> None:
        """Go on, beginning in the event loop's next round: never within the caller's work."""
        self._reading.resume()

    def leave(self) -> None:
        """Disconnect normally, after what is still to be sent."""
        self._leaving = True
        self._client.disconnect()

    async def linger(self) -> None:
        """Read and drop what the broker still sends, until it closes the connection too.

        Closing on unread bytes resets the connection and can take our last packets with it.
        """
        if self._farewell is None:
            return
        with self._farewell, contextlib.suppress(OSError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                while await self._loop.sock_recv(self._farewell, 65_536):
                    pass

    def abort(self) -> None:
        """Close the socket at once, also one that is still being opened in another thread."""
        self._abandoned = True
        self._client._sock_close()  # noqa: SLF001
        self._end_connecting()
        if not self._disconnected.done():
            self._disconnected.set_result(None)
        elif not self._disconnected.cancelled():
            self._disconnected.exception()  # `refusal` tells it; asyncio would complain of it

    def _on_connect(
        self,
        client: PahoClient,
        userdata: object,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._accepted = not reason_code.is_failure
        if reason_code.is_failure:
            said = (getattr(properties, name, None) for name in ("ReasonString", "ServerReference"))
            self.refusal = refusals.refusal(reason_code.value, *said)
        self._session_present = flags.session_present
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: PahoClient,
        userdata: object,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self.refusal is None:
            self.refusal = self._why(flags, reason_code, properties)
        self._end_connecting()
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _why(
        self, flags: DisconnectFlags, reason_code: ReasonCode, properties: Properties | None
    ) -> Refusal:
        code = reason_code.value
        if flags.is_disconnect_packet_from_server:
            return refusals.refusal(code, getattr(properties, "ReasonString", None))
        if code == refusals.KEEP_ALIVE_TIMEOUT:
            return refusals.unanswered(self._settings.keepalive_seconds)
        return failures.lost(self._endpoint, None, answered=self._accepted)

    def _on_subscribe(
        self,
        client: PahoClient,  # noqa: ARG002 - as paho calls it, here and below
        userdata: object,  # noqa: ARG002
        mid: int,
        reason_codes: list[ReasonCode],
        properties: Properties | None = None,  # noqa: ARG002
    ) -> None:
        self._subscribing.answered(mid, [code.value for code in reason_codes])

    def _on_message(
        self,
        client: PahoClient,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        message: MQTTMessage,
    ) -> None:
        self._inbox.put(message, session_present=self._session_present)

    def _on_socket_open(
        self,
        client: PahoClient,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        sock: PahoSocket,  # noqa: ARG002
    ) -> None:
        self._loop.call_soon_threadsafe(self._opened)  # called in the thread that connects

    def _on_socket_close(self, client: PahoClient, userdata: object, sock: PahoSocket) -> None:
        super()._on_socket_close(client, userdata, sock)
        if self._leaving and sock.fileno() >= 0:
            self._farewell = socket.socket(fileno=os.dup(sock.fileno()))

    def _opened(self) -> None:
        if self._abandoned:
            self._client._sock_close()  # noqa: SLF001
            return
        self._misc_task = self._loop.create_task(self._misc_loop(), name="mqtt-keepalive")
        self._reading.watch()

    def _end_connecting(self) -> None:
        """Whoever waits for the broker's answer need not wait for its time limit."""
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("closed"))
            self._connected.exception()

    def _read(self, fault: Exception | None) -> None:
        if fault is not None:
            self.refusal = refusals.malformed(str(fault))
            self.abort()
        try:
            self._hand_on()
        except Exception as error:  # noqa: BLE001 - the event loop would log it and carry on
            self.error = error
            self.abort()

    def _hand_on(self) -> None:
        if self._accepted and not self._reported:
            self._reported = True
            self._receiver.connected(Connected(self._session_present, self._client.keepalive))
            self._subscribing.begin()
        outcome = self._subscribing.take_outcome()
        if outcome is not None:
            self._receiver.subscribed(outcome)
            self._reading.may_stop()
        if self._inbox and not self._reading.paused:
            self._receiver.received(*self._inbox.take())


def _connect_properties(settings: Mqtt) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.receive_maximum
    return properties
