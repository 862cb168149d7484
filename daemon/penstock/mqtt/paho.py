"""One connection through aiomqtt and paho, with what those leave to their users.

What always holds: acknowledging is manual from before the first byte, so nothing is acknowledged on
its own (a message of QoS 2 apart, which paho confirms before it hands it on; we subscribe with 1 at
most, so only a session that another program left behind can hold one). Everything is read in the
event loop, in one synchronous pass from the socket to the receiver. When the connection is over,
`over` is true and `refusal` says why.

Names with an underscore are used where paho and aiomqtt have no other way: to stop reading (paho
has no backpressure, and aiomqtt's bounded queue drops messages after acknowledging them), to see
what aiomqtt does not pass on, and to close the socket without a farewell.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Protocol

import aiomqtt
from aiomqtt.types import PahoSocket
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from penstock.model import Message
from penstock.mqtt import failures, refusals
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.wire import PlainMessage
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

_PACKETS_AT_ONCE = 200
"""Read in one go before the event loop does anything else."""

_FAREWELL_SECONDS = 2.0
"""How long the broker has to close the connection after our DISCONNECT."""

_RETAIN_HANDLING = {
    "never": SubscribeOptions.RETAIN_DO_NOT_SEND,
    "new": SubscribeOptions.RETAIN_SEND_IF_NEW_SUB,
    "always": SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE,
}


class Receiver(Protocol):
    """What a connection reports to, synchronously and in this order."""

    def accepted(self, *, session_present: bool) -> None: ...
    def answered(self, patterns: Sequence[str], codes: Sequence[int]) -> None: ...
    def received(self, size_bytes: int, messages: Sequence[Message]) -> None: ...


class PahoConnection(aiomqtt.Client):
    """An aiomqtt client for one connection."""

    def __init__(
        self,
        settings: Mqtt,
        endpoint: Endpoint,
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
        self._asked: dict[int, Sequence[str]] = {}
        self._answers: list[tuple[Sequence[str], list[int]]] = []
        self._session_present = False
        self._paused = False
        self._may_pause = False
        self._abandoned = False
        self._leaving = False
        self._farewell: socket.socket | None = None
        self._inbox: list[Message] = []
        self._inbox_bytes = 0
        self._exactly_once: set[int] = set()

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self._disconnected.done() or self._client.socket() is None

    async def wait(self, timeout_seconds: float) -> None:
        """Wait until the connection is over, at most so long."""
        await asyncio.wait((self._disconnected,), timeout=timeout_seconds)

    def ask(self, patterns: Sequence[str]) -> None:
        """Subscribe to filters, at least one; the receiver gets the answer."""
        qos, handling = int(self._settings.qos), _RETAIN_HANDLING[self._settings.retained]
        if self._settings.protocol == "5":
            options = SubscribeOptions(qos=qos, retainHandling=handling)
            _, packet_id = self._client.subscribe([(pattern, options) for pattern in patterns])
        else:
            _, packet_id = self._client.subscribe([(pattern, qos) for pattern in patterns])
        if packet_id is not None:
            self._asked[packet_id] = patterns

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send acknowledgements in this order."""
        for packet_id in packet_ids:
            exactly_once = packet_id in self._exactly_once
            self._exactly_once.discard(packet_id)
            self._client.ack(packet_id, 2 if exactly_once else 1)

    def pause(self) -> None:
        """Hand on nothing more, and read nothing more once the broker answered for the filters.

        The broker is held back by TCP then. QoS 1 has the broker's window besides; of QoS 0 there
        would be no bound without this.
        """
        self._paused = True
        self._set_reader()

    def resume(self) -> None:
        """Go on, beginning in the event loop's next round: never within the caller's work."""
        self._paused = False
        self._loop.call_soon(self._readable)
        self._set_reader()

    def keep_alive(self) -> None:
        """While paused, the answer to a ping waits unread: keep paho from concluding anything."""
        if self._paused:
            self._client._ping_t = 0.0  # noqa: SLF001

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
        patterns = self._asked.pop(mid, ())
        if len(patterns) == len(reason_codes):
            self._answers.append((patterns, [code.value for code in reason_codes]))

    def _on_message(
        self,
        client: PahoClient,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        message: MQTTMessage,
    ) -> None:
        """Take a message into the inbox, past aiomqtt's queue and its objects."""
        if message.retain and self._is_unwanted_retained():
            # Out of turn with regard to [MQTT-4.6.0-2], as no broker minds: it is never stored.
            self._client.ack(message.mid, message.qos)
            return
        if message.qos == 2:
            self._exactly_once.add(message.mid)
        topic: bytes = message._topic  # noqa: SLF001 - its property raises on what is not UTF-8
        self._inbox_bytes += len(topic) + len(message.payload)
        self._inbox.append(
            PlainMessage(
                topic=str(topic, "utf-8", "replace"),
                payload=bytes(message.payload),
                packet_id=message.mid if message.qos else None,
                correlation_data=getattr(message.properties, "CorrelationData", None),
            )
        )

    def _is_unwanted_retained(self) -> bool:
        """MQTT 3.1.1 has no retain handling: each SUBSCRIBE brings what is retained (§3.8.4)."""
        if self._settings.protocol == "5" or self._settings.retained == "always":
            return False
        return self._settings.retained == "never" or self._session_present

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
        self._set_reader()

    def _set_reader(self) -> None:
        sock = self._client.socket()
        if sock is None or sock.fileno() < 0:
            return
        if self._paused and self._may_pause:
            self._loop.remove_reader(sock.fileno())
        else:
            self._loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        self._read()
        try:
            self._hand_on()
        except Exception as error:  # noqa: BLE001 - the event loop would log it and carry on
            self.error = error
            self.abort()

    def _read(self) -> None:
        """Read packets until the socket has no more, but not for too long."""
        try:
            for _ in range(_PACKETS_AT_ONCE):
                count = len(self._inbox)
                self._client.loop_read()
                if len(self._inbox) == count and not self._has_decrypted():
                    return
        except Exception as error:  # noqa: BLE001 - paho raises anything over malformed packets
            self.refusal = refusals.malformed(str(error))
            self.abort()

    def _end_connecting(self) -> None:
        """Whoever waits for the broker's answer need not wait for its time limit."""
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("closed"))
            self._connected.exception()

    def _has_decrypted(self) -> bool:
        """Whether TLS holds bytes that the event loop cannot see in the socket."""
        pending = getattr(self._client.socket(), "pending", None)
        return pending is not None and pending() > 0

    def _hand_on(self) -> None:
        if self._accepted and not self._reported:
            self._reported = True
            self._receiver.accepted(session_present=self._session_present)
        answers, self._answers = self._answers, []
        for patterns, codes in answers:
            self._receiver.answered(patterns, codes)
            self._may_pause = True
        if self._paused:
            self._set_reader()
            return
        if self._inbox:
            messages, size_bytes = self._inbox, self._inbox_bytes
            self._inbox, self._inbox_bytes = [], 0
            self._receiver.received(size_bytes, messages)


def _connect_properties(settings: Mqtt) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.receive_maximum
    return properties
