"""Publishes a fleet's messages over MQTT 5 at a fixed rate or as fast as the broker takes them.

The schedule is an open loop: slot s is due at a time that depends on the rate alone, so what
could not be sent while the broker was away goes out when it is back. The ledger notes for every
message when it was sent and whether it was acknowledged. The publisher rides through broker
restarts: it reconnects for as long as it runs and sends again whatever was not acknowledged.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from penstock_simulator.connection import KEEPALIVE_SECONDS, Connection, Login
from penstock_simulator.fleet import Fleet
from penstock_simulator.lane import Lane
from penstock_simulator.ledger import Ledger

_TICK_SECONDS = 0.002
_CONNECT_SECONDS = 10.0
_RECONNECT_MIN_SECONDS = 0.05
_RECONNECT_MAX_SECONDS = 2.0
_UNLIMITED = 1 << 62

Allowance = Callable[[], int]
"""How many messages may have been published by now, in all lanes together."""


class Publisher:
    """Publishes some lanes of a fleet, or all.

    Args:
        url: `mqtt://[user:password@]host[:port]`.
        fleet: what to publish.
        rate: messages a second over all lanes of the fleet; 0 is as fast as possible.
        lanes: the lanes that this process publishes.
        allowance: a further limit that is asked for at every tick.
    """

    def __init__(
        self,
        url: str,
        fleet: Fleet,
        *,
        rate: float,
        lanes: Sequence[int] | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or parts.hostname is None:
            raise ValueError(f"{url!r} is not mqtt://host[:port]")
        self._host, self._port = parts.hostname, parts.port or 1883
        self._username = None if parts.username is None else unquote(parts.username)
        self._password = None if parts.password is None else unquote(parts.password)
        self._fleet = fleet
        self._rate = rate
        self._allowance = allowance
        self._lanes = [Lane(fleet, number) for number in lanes or range(fleet.lanes)]
        self._connections: dict[int, Connection] = {}
        self._started_at = 0.0
        self._allowed = _UNLIMITED
        self._publishing = False
        self.reconnects = 0
        """Connections that were lost and made again."""

    @property
    def published(self) -> int:
        """Messages sent so far, each counted once."""
        return sum(lane.sent for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged yet; 0 at QoS 0."""
        return sum(lane.waiting for lane in self._lanes)

    @property
    def refused(self) -> int:
        """Messages that the broker answered with a reason of failure."""
        return sum(lane.refused for lane in self._lanes)

    @property
    def ledger(self) -> Ledger:
        """What was sent so far. It shares the publisher's memory: save it before publishing on."""
        return Ledger(self._fleet, {lane.number: lane.ledger for lane in self._lanes})

    async def run(self, stop: asyncio.Event, *, drain_seconds: float = 30.0) -> None:
        """Publish until `stop`, then wait for what is in flight to be acknowledged, and disconnect.

        Raises:
            PublishError: the broker refused a connection.
        """
        tasks = [
            asyncio.create_task(self._keep_connected(lane), name=f"lane-{lane.number}")
            for lane in self._lanes
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        ticking = asyncio.create_task(self._tick_forever(), name="tick")
        try:
            self._started_at = asyncio.get_running_loop().time()
            self._publishing = True
            done, _ = await asyncio.wait(
                [stopping, ticking, *tasks], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            self._publishing = False
            with suppress(TimeoutError):
                async with asyncio.timeout(drain_seconds):
                    await self._drain([ticking, *tasks])
        finally:
            self._publishing = False
            for task in (stopping, ticking, *tasks):
                task.cancel()
            await asyncio.gather(stopping, ticking, *tasks, return_exceptions=True)
            for connection in self._connections.values():
                connection.abort()

    async def _drain(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while self.waiting:
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(_TICK_SECONDS)
        for connection in self._connections.values():
            connection.close()
        await asyncio.gather(*(connection.done for connection in self._connections.values()))

    async def _keep_connected(self, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        login = Login(f"sim-{self._fleet.tag}-{lane.number}", self._username, self._password)
        delay = _RECONNECT_MIN_SECONDS
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    _, connection = await loop.create_connection(
                        lambda: Connection(lane, login, self._pump), self._host, self._port
                    )
                self._connections[lane.number] = connection
                await connection.done
                if connection.accepted:
                    delay = _RECONNECT_MIN_SECONDS
                if not self._publishing and not lane.waiting:
                    return
                self.reconnects += 1
            except OSError:
                delay = min(delay * 2, _RECONNECT_MAX_SECONDS)
            await asyncio.sleep(delay)

    async def _tick_forever(self) -> None:
        loop = asyncio.get_running_loop()
        ping_at = loop.time()
        while True:
            self._tick()
            if loop.time() > ping_at:
                ping_at = loop.time() + KEEPALIVE_SECONDS / 4
                self._watch(loop.time())
            await asyncio.sleep(_TICK_SECONDS)

    def _tick(self) -> None:
        if self._allowance is not None:
            self._allowed = self._allowance()
        for connection in self._connections.values():
            connection.listen()
        for lane in self._lanes:
            self._pump(lane)

    def _watch(self, now: float) -> None:
        """Ask every broker connection for a sign of life, and give up those that gave none."""
        for connection in self._connections.values():
            if now - connection.heard_at > 2 * KEEPALIVE_SECONDS:
                connection.abort()
            else:
                connection.ping()

    def _pump(self, lane: Lane) -> None:
        connection = self._connections.get(lane.number)
        if connection is not None:
            due = max(0, self._due(lane)) if self._publishing else 0
            connection.pump(due, time.time_ns() // 1_000)

    def _due(self, lane: Lane) -> int:
        due = self._allowed // self._fleet.lanes
        if self._rate:
            elapsed = asyncio.get_running_loop().time() - self._started_at
            due = min(due, int((elapsed * self._rate - lane.number) / self._fleet.lanes) + 1)
        return due - lane.sent
