"""One network connection under a `Session`: the thin part that touches a transport.

What always holds: from bytes received to the intake there is no await; nothing is read while paused
but the broker's answer to CONNECT; an error of the receiver ends the connection and is raised by
`closed`, because what it was given is not acknowledged and must not be passed over.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

from penstock.clock import Clock
from penstock.model import Message
from penstock.mqtt import failures
from penstock.mqtt.connection import Closed, Connected, Event, Receiver
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.session import Session
from penstock.mqtt.subscriptions import Subscribed
from penstock.settings.mqtt_url import Endpoint

_FAREWELL_SECONDS = 2.0
"""How long the other side has to close the connection once we are done with it."""

_GATHER_SECONDS = 0.002
"""How long the socket is left alone when it brings little at a time, and often.

A broker writes packet by packet. Read as they come, each packet costs a wake-up and two system
calls, several times the work of decoding it, and the broker pays for waking us. Gathered, a message
costs a fifth (measured against mosquitto 2.0.21: 5.0 to 6.5 µs become 0.7 to 1.0 at QoS 0, 7.1 to
9.3 become 1.5 at QoS 1), and the broker delivers more. The price is this much latency under load,
and none without.
"""
_PLENTY_BYTES = 65_536
"""A socket that brings so much in one piece needs no gathering."""


class Link(asyncio.Protocol):
    """Carries a session's bytes; works on any event loop's TCP or TLS transport."""

    def __init__(
        self, session: Session, receiver: Receiver, endpoint: Endpoint, clock: Clock
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[None] = self._loop.create_future()
        """Done when the broker accepted the connection, or it is over."""
        self.closed: asyncio.Future[Refusal] = self._loop.create_future()
        """Why the connection is over."""
        self._session = session
        self._receiver = receiver
        self._endpoint = endpoint
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._accepted = False
        self._refusal: Refusal | None = None
        self._paused = False
        self._done_at_seconds: float | None = None
        self._read_at_seconds = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing can be sent: not yet, or no more."""
        transport = self._transport
        return self._session.closed or transport is None or transport.is_closing()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send acknowledgements in this order, in one write."""
        self._session.acknowledge(packet_ids)
        self._take(0, ())

    def pause(self) -> None:
        """Hand on nothing more, and read nothing more once the broker has answered."""
        self._paused = True
        self._session.pause()
        self._pause_reading()

    def resume(self) -> None:
        """Go on, beginning in the event loop's next round: never within the caller's work."""
        self._paused = False
        self._loop.call_soon(self._go_on)

    def check(self) -> None:
        """Do what is due by time."""
        now_seconds = self._clock.monotonic_seconds()
        if self._done_at_seconds is None:
            self._session.check(now_seconds)
            self._take(0, ())
        elif now_seconds - self._done_at_seconds > _FAREWELL_SECONDS:
            self.abort()

    def leave(self) -> None:
        """Disconnect normally, after what is still to be sent.

        The broker closes the connection. Until then what it still sends is read and dropped:
        closing on unread bytes would reset the connection, and could take our last packets with it.
        """
        self._done_at_seconds = self._clock.monotonic_seconds()
        self._session.disconnect()
        self._send()
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close the socket at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._take(len(data), self._session.receive(data))
        self._gather(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            lost = failures.lost(self._endpoint, exc, answered=self._accepted)
            self.closed.set_result(self._refusal or lost)
        if not self.answered.done():
            self.answered.set_result(None)

    def _take(self, size_bytes: int, messages: Sequence[Message]) -> None:
        """Hand on what was received, events first, then send what the session answers."""
        try:
            for event in self._session.take_events():
                self._report(event)
            self._receiver.received(size_bytes, messages)
        except Exception as error:  # noqa: BLE001 - the event loop would log it and carry on
            self._fail(error)
        else:
            self._send()

    def _report(self, event: Event) -> None:
        match event:
            case Connected():
                self._accepted = True
                self.answered.set_result(None)
                self._receiver.connected(event)
                if self._paused:
                    self._pause_reading()
            case Subscribed():
                self._receiver.subscribed(event)
            case Closed():
                self._refusal = event.refusal

    def _send(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        now_seconds = self._clock.monotonic_seconds()
        data = self._session.take_output(now_seconds)
        if data:
            transport.write(data)
        if self._session.closed and self._done_at_seconds is None:
            self._done_at_seconds = now_seconds
            transport.close()

    def _pause_reading(self) -> None:
        if self._transport is not None and self._accepted and not self._transport.is_closing():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._paused or self._transport is None or self._transport.is_closing():
            return
        self._take(0, self._session.resume(self._clock.monotonic_seconds()))
        self._resume_reading(self._transport)

    def _resume_reading(self, transport: asyncio.Transport) -> None:
        """Read, unless the receiver has paused meanwhile."""
        self._read_at_seconds = self._loop.time()
        if not self._paused and not transport.is_closing():
            transport.resume_reading()

    def _gather(self, size_bytes: int) -> None:
        """Leave the socket alone for a moment, if it brings little and did so just before."""
        now_seconds = self._loop.time()
        since_seconds = now_seconds - self._read_at_seconds
        self._read_at_seconds = now_seconds
        if since_seconds > _GATHER_SECONDS or size_bytes > _PLENTY_BYTES or self._paused:
            return
        transport = self._transport
        if transport is not None and self._accepted and not transport.is_closing():
            transport.pause_reading()
            self._loop.call_later(_GATHER_SECONDS, self._resume_reading, transport)

    def _fail(self, error: Exception) -> None:
        if not self.closed.done():
            self.closed.set_exception(error)
        if not self.answered.done():
            self.answered.set_result(None)
        self.abort()
