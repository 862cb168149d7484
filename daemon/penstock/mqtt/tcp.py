"""The source for MQTT 5 over TCP and TLS: the hot path.

What always holds is what `ReconnectingSource` and `Link` promise. Where it runs under uvloop it is
uvloop's transport that carries it; it works under asyncio's own all the same.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence

from penstock.clock import Clock
from penstock.mqtt import failures, wire
from penstock.mqtt.link import Link
from penstock.mqtt.reconnecting import ReconnectingSource
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.session import Session
from penstock.mqtt.source import Intake
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
        largest_payload_bytes: int = wire.LARGEST_REMAINING_BYTES,
    ) -> None:
        super().__init__(settings, endpoint, filters, intake, clock, random)
        self._largest_payload_bytes = largest_payload_bytes
        self._connecting: asyncio.Timeout | None = None

    async def _converse(self, tls: ssl.SSLContext | None) -> Refusal:
        session = Session(
            self._settings,
            self._filters,
            self._clock.monotonic_seconds(),
            largest_payload_bytes=self._largest_payload_bytes,
        )
        link = Link(session, self, self._endpoint, self._clock)
        with self._present(link):
            failure = await self._connect(link, tls)
            if failure is not None:
                return failure
            while not link.closed.done():
                await asyncio.wait((link.closed,), timeout=session.check_interval_seconds)
                self._check(link, session)
            return await link.closed

    async def _connect(self, link: Link, tls: ssl.SSLContext | None) -> Refusal | None:
        """Connect and wait for the broker's answer; why it failed, if it did."""
        loop = asyncio.get_running_loop()
        endpoint = self._endpoint
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds) as self._connecting:
                await loop.create_connection(lambda: link, endpoint.host, endpoint.port, ssl=tls)
                await link.answered
        except OSError as error:
            return failures.unreachable(endpoint, error)
        finally:
            self._connecting = None
        return None

    def _check(self, link: Link, session: Session) -> None:
        pings_before = session.pings_sent
        link.check()
        self.traffic.pings_sent += session.pings_sent - pings_before

    def _leave(self) -> None:
        if self._connecting is not None:
            if not self._connecting.expired():
                self._connecting.reschedule(asyncio.get_running_loop().time())
        elif self._connection is not None:
            self._connection.leave()
