"""The source for MQTT 5 over TCP and TLS: the hot path.

What always holds is what `ReconnectingSource` and `Link` promise. Where it runs under uvloop it is
uvloop's transport that carries it; it works under asyncio's own all the same.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence

from penstock.clock import Clock
from penstock.model import Message
from penstock.mqtt import failures, wire
from penstock.mqtt.link import Link
from penstock.mqtt.reconnecting import ReconnectingSource
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.session import Connected, Session
from penstock.mqtt.source import Intake
from penstock.mqtt.subscriptions import Subscribed
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt


class TcpSource(ReconnectingSource):
    """One MQTT 5 session, connection after connection; see `penstock.mqtt.source.Source`."""

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
        largest_payload_bytes: int = wire.LARGEST_REMAINING_BYTES,
    ) -> None:
        super().__init__(settings, endpoint, intake, clock, random)
        self._filters = filters
        self._tls = tls
        self._largest_payload_bytes = largest_payload_bytes
        self._link: Link | None = None
        self._accepted_link: Link | None = None
        self._attempt: asyncio.Timeout | None = None

    def acknowledge(self, connection: int, packet_ids: Sequence[int]) -> None:
        """Send a PUBACK for each packet, in this order, on the connection that delivered it."""
        if self._accepted_link is None or connection != self.traffic.connections_accepted:
            return
        self._accepted_link.acknowledge(packet_ids)
        self.traffic.acknowledgements_sent += len(packet_ids)

    def pause(self) -> None:
        """Hand on no more messages; keepalive goes on."""
        self._paused = True
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """Go on after `pause`, in the event loop's next round."""
        self._paused = False
        if self._link is not None:
            self._link.resume()

    def connected(self, event: Connected) -> None:
        """Called by the link when the broker accepted it."""
        self._accepted_link = self._link
        self._accepted(
            session_present=event.session_present, keepalive_seconds=event.keepalive_seconds
        )

    def subscribed(self, event: Subscribed) -> None:
        """Called by the link when the broker answered for every filter."""
        self._subscribed(event)

    def received(self, size_bytes: int, messages: Sequence[Message]) -> None:
        """Called by the link with what came in one piece."""
        self.traffic.bytes_received += size_bytes
        if messages:
            self._deliver(messages)

    async def _converse(self) -> Refusal:
        session = Session(
            self._settings,
            self._filters,
            self._clock.monotonic_seconds(),
            largest_payload_bytes=self._largest_payload_bytes,
        )
        link = self._link = Link(session, self, self._endpoint, self._clock)
        if self._paused:
            link.pause()
        try:
            failure = await self._connect(link)
            if failure is not None:
                return failure
            while not link.closed.done():
                await asyncio.wait((link.closed,), timeout=session.check_interval_seconds)
                self._check(link, session)
            return await link.closed
        finally:
            link.abort()
            self._link = self._accepted_link = None

    async def _connect(self, link: Link) -> Refusal | None:
        """Connect and wait for the broker's answer; why it failed, if it did."""
        loop = asyncio.get_running_loop()
        endpoint = self._endpoint
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds) as self._attempt:
                await loop.create_connection(
                    lambda: link, endpoint.host, endpoint.port, ssl=self._tls
                )
                await link.answered
        except OSError as error:
            return failures.unreachable(endpoint, error)
        finally:
            self._attempt = None
        return None

    def _check(self, link: Link, session: Session) -> None:
        pings_before = session.pings_sent
        link.check()
        self.traffic.pings_sent += session.pings_sent - pings_before

    def _leave(self) -> None:
        if self._attempt is not None:
            if not self._attempt.expired():
                self._attempt.reschedule(asyncio.get_running_loop().time())
        elif self._link is not None:
            self._link.leave()
