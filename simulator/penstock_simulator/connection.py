"""One MQTT 5 connection of the publisher: handshake, packets out, acknowledgements in.

A thin asyncio Protocol around a `Lane`. It lives as long as its socket; the publisher makes a new
one to reconnect. It never decides how fast to send: `pump` is told how many new messages are due.

While more acknowledgements are under way, it reads once between two calls of `listen`. A broker
acknowledges message by message, and a read for each would cost more than all else that the
publisher does; so they are left to gather.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast

import mqtt5

from penstock_simulator.incoming import lone_puback, parse
from penstock_simulator.lane import Lane

_SESSION_EXPIRY_SECONDS = 3_600
_HIGH_WATER_BYTES = 262_144


class PublishError(Exception):
    """The broker will not let this publisher in; the text says why."""


class Login(NamedTuple):
    """How a publisher presents itself."""

    client_id: str
    username: str | None = None
    password: str | None = None
    keepalive_seconds: int = 20


class Connection(asyncio.Protocol):
    """A lane's connection, from its CONNECT to the end of its socket.

    Args:
        lane: what it carries.
        login: how it presents itself.
        count: told 1 when the broker has let it in, and -1 when that is over.
        wake: called when it has read something or can write again.
        deaf: where it enters itself when it has stopped reading until `listen`.
    """

    def __init__(
        self,
        lane: Lane,
        login: Login,
        *,
        count: Callable[[int], None],
        wake: Callable[[], None],
        deaf: "list[Connection]",
    ) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        """Set when it ends; to an error only when trying again is vain."""
        self.heard_at = loop.time()
        """When the broker last sent anything, on the loop's clock."""
        self.blocked = False
        """Whether the socket takes no more for now."""
        self._lane = lane
        self._login = login
        self._count = count
        self._wake = wake
        self._deaf = deaf
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.accepted = False
        """Whether the broker let it in."""
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in deed only, not by class.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        password = self._login.password
        transport.write(
            mqtt5.ConnectPacket(
                self._login.client_id,
                username=self._login.username,
                password=None if password is None else password.encode(),
                clean_start=self._lane.sent == 0,
                keep_alive=self._login.keepalive_seconds,
                session_expiry_interval=_SESSION_EXPIRY_SECONDS,
            ).write()
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a protocol's method
        self._transport = None
        if self.accepted:
            self._count(-1)
        if not self.done.done():
            self.done.set_result(None)

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        packet_id = None if self._rest else lone_puback(data)
        if packet_id is not None:
            self._lane.acknowledge_one(packet_id, time.time_ns() // 1_000)
        else:
            self._take_in(data)
        transport = self._transport
        if self._lane.waiting and self.accepted and transport and not transport.is_closing():
            transport.pause_reading()
            self._deaf.append(self)
        self._wake()

    def pump(self, due: int, now_us: int) -> bool:
        """Send what has to be repeated, then up to `due` new messages; tell whether all went."""
        transport = self._transport
        if transport is None or not self.accepted or transport.is_closing():
            return False
        lane = self._lane
        while lane.to_repeat and lane.room > 0 and not self.blocked:
            transport.write(lane.repeat())
        if lane.to_repeat:
            return False
        stop = lane.sent + due
        while lane.sent < stop and lane.room > 0 and not self.blocked:
            transport.write(lane.take(min(stop - lane.sent, lane.room), now_us))
        return lane.sent == stop

    def listen(self) -> None:
        """Read what the broker has sent in the meantime."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def ping(self) -> None:
        """Ask the broker for a sign of life."""
        if self._transport is not None and self.accepted and not self._transport.is_closing():
            self._transport.write(mqtt5.PingReqPacket().write())

    def abort(self) -> None:
        """Close the socket at once, as when the network is gone."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye, so that the broker forgets the session and closes the connection.

        It is left to the broker, who does so after it has read everything. Were it closed here, an
        answer that is under way would meet a closed socket, and TCP would throw away what the
        broker has not read (RFC 9293 §3.10.7.1).
        """
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(mqtt5.DisconnectPacket(session_expiry_interval=0).write())

    def _take_in(self, data: bytes) -> None:
        try:
            incoming = parse(self._rest + data)
        except ValueError as error:
            self._fail(f"the broker sent what is not MQTT 5: {error}")
            return
        self._rest = incoming.rest
        now_us = time.time_ns() // 1_000
        self._lane.acknowledge(incoming.acknowledged, now_us)
        self._lane.refuse(incoming.refused, now_us)
        for packet in incoming.others:
            self._handle(packet)

    def _handle(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.ConnAckPacket():
                self._accept(packet)
            case mqtt5.DisconnectPacket():
                self.abort()
            case _:
                pass

    def _accept(self, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            self._fail(f"the broker refused {self._login.client_id}: {packet.reason_code!r}")
            return
        self.accepted = True
        self._lane.connected(packet.receive_max)
        self._count(1)

    def _fail(self, text: str) -> None:
        if not self.done.done():
            self.done.set_exception(PublishError(text))
        self.abort()
