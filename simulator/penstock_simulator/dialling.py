"""Keeps every lane connected that should be, and no lane that should not.

What always holds: connections are begun no faster than the given rate, whatever has cut them; a
lane that is away makes no attempt before its time; a broker that is silent for too long is given
up. It never decides what is sent.
"""

import asyncio
import math
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import unquote, urlsplit

from penstock_simulator.connection import Connection, Login
from penstock_simulator.lane import Lane
from penstock_simulator.pace import Floats

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_CONNECT_SECONDS = 10.0
_RECONNECT_MIN_SECONDS = 0.05
_RECONNECT_MAX_SECONDS = 2.0
_MANY_LANES = 1_000
_KEEPALIVE_SECONDS = 20
_KEEPALIVE_OF_MANY_SECONDS = 120
"""So that the pings of many idle connections are not a load of their own."""
_WATCH_SECONDS = 0.1

Wake = Callable[[int], None]
"""Told the index of a lane that may be able to go on."""


class Dialler:
    """The connections of some lanes, by their index in `lanes`.

    Args:
        url: `mqtt://[user:password@]host[:port]`, or `mqtts://`.
        name: how their client ids begin.
        lanes: what the connections carry.
        wake: called when a lane was let in, heard of the broker, or can write again.
        births: for each lane, how long after `begin` it is connected first; 0 for before it.
        per_second: how many connections are begun in a second.
        trust: whom to trust with `mqtts://`; the system's authorities without it.
    """

    def __init__(
        self,
        url: str,
        name: str,
        lanes: Sequence[Lane],
        wake: Wake,
        *,
        births: Floats | None,
        per_second: float,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or parts.hostname is None:
            raise ValueError("the broker's URL is not mqtt://host[:port], or mqtts://")
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._tls = (trust or ssl.create_default_context()) if parts.scheme == "mqtts" else None
        self._username = None if parts.username is None else unquote(parts.username)
        self._password = None if parts.password is None else unquote(parts.password)
        self._name = name
        self._lanes = lanes
        self._wake_lane = wake
        many = len(lanes) > _MANY_LANES
        self._keepalive_seconds = _KEEPALIVE_OF_MANY_SECONDS if many else _KEEPALIVE_SECONDS
        self._births = [0.0] * len(lanes) if births is None else births.tolist()
        self._began_at = 0.0
        self._begun = asyncio.Event()
        self._failed: asyncio.Future[None] | None = None
        self._between_seconds = 1.0 / per_second
        self._next_at = 0.0
        self._back_at = [0.0] * len(lanes)
        self._connections: list[Connection | None] = [None] * len(lanes)
        self._deaf: list[Connection] = []
        self._closing = False
        self._awaited = self._births.count(0.0)
        self._all_in = asyncio.Event()
        self.reconnects = 0
        """Connections that were lost and made again."""
        self.connected = 0
        """Connections that the broker has let in and that still stand."""
        self.failure: OSError | None = None
        """Why the last attempt failed that did."""

    @property
    def round_seconds(self) -> float:
        """How long it takes at least to begin a connection for every lane."""
        return len(self._lanes) * self._between_seconds

    async def run(self) -> None:
        """Keep the lanes connected until cancelled.

        Raises:
            PublishError: the broker refused a connection.
        """
        self._failed = failed = asyncio.get_running_loop().create_future()
        if not self._awaited:
            self._all_in.set()
        tasks = [asyncio.create_task(self._watch_forever(), name="watch")]
        tasks += [
            asyncio.create_task(self._keep_connected(which), name=f"lane-{lane.number}")
            for which, lane in enumerate(self._lanes)
        ]
        for task in tasks:
            task.add_done_callback(self._note_end)
        try:
            await failed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_for_all(self) -> None:
        """Wait until the lanes that are there from the beginning have all been let in."""
        await self._all_in.wait()

    def begin(self, at_seconds: float) -> None:
        """Say when, on the loop's clock, the time began that births count from."""
        self._began_at = at_seconds
        self._begun.set()

    def pump(self, which: int, due: int, now_us: int) -> bool:
        """Have a lane send what is due, and tell whether all of it went."""
        connection = self._connections[which]
        return connection is not None and connection.pump(due, now_us)

    def listen(self) -> None:
        """Have the connections that have let acknowledgements gather read them now."""
        deaf = self._deaf[:]
        self._deaf.clear()
        for connection in deaf:
            connection.listen()

    def cut(self, which: Sequence[int], back_at: Sequence[float]) -> None:
        """Cut lanes off, each at least until its time on the loop's clock."""
        for lane, at in zip(which, back_at, strict=True):
            self._back_at[lane] = max(self._back_at[lane], at)
            connection = self._connections[lane]
            if connection is not None:
                connection.abort()

    async def close(self) -> None:
        """Say goodbye on every connection, and wait until the broker has closed them."""
        self._closing = True
        inside = [c for c in self._connections if c is not None and c.accepted]
        for connection in inside:
            connection.close()
        await asyncio.gather(*(connection.done for connection in inside))

    def abort(self) -> None:
        """Close every socket at once."""
        for connection in self._connections:
            if connection is not None:
                connection.abort()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        assert self._failed is not None
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _keep_connected(self, which: int) -> None:
        if self._births[which]:
            await self._begun.wait()
            self._back_at[which] = max(self._back_at[which], self._began_at + self._births[which])
        delay = _RECONNECT_MIN_SECONDS
        while True:
            await self._wait_for_turn(which)
            try:
                connection = await self._connect(which)
            except OSError as error:
                self.failure = error
                delay = min(delay * 2, _RECONNECT_MAX_SECONDS)
                await asyncio.sleep(delay)
                continue
            await connection.done
            self._connections[which] = None
            if self._closing:
                return
            if connection.accepted:
                delay = _RECONNECT_MIN_SECONDS
            self.reconnects += 1
            await asyncio.sleep(delay)

    async def _wait_for_turn(self, which: int) -> None:
        loop = asyncio.get_running_loop()
        away_seconds = self._back_at[which] - loop.time()
        while away_seconds > 0:  # it can be prolonged meanwhile
            await asyncio.sleep(away_seconds)
            away_seconds = self._back_at[which] - loop.time()
        at = max(loop.time(), self._next_at)
        self._next_at = at + self._between_seconds
        await asyncio.sleep(at - loop.time())

    async def _connect(self, which: int) -> Connection:
        lane = self._lanes[which]
        login = Login(
            f"{self._name}-{lane.number}",
            self._username,
            self._password,
            self._keepalive_seconds,
        )
        wake = partial(self._wake_lane, which)
        connection = Connection(lane, login, count=self._count, wake=wake, deaf=self._deaf)
        self._connections[which] = connection
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, self._host, self._port, ssl=self._tls
                )
        except OSError:
            connection.abort()  # it may have been made at the very end of the time
            self._connections[which] = None
            raise
        if self._back_at[which] > asyncio.get_running_loop().time():
            connection.abort()  # it was cut off while it was being made
        return connection

    def _count(self, change: int) -> None:
        self.connected += change
        if self.connected >= self._awaited:
            self._all_in.set()

    async def _watch_forever(self) -> None:
        """Look at every connection in turn, all of them within a quarter of the keep-alive."""
        rounds = self._keepalive_seconds / 4 / _WATCH_SECONDS
        share = max(1, math.ceil(len(self._connections) / rounds))
        while True:
            for start in range(0, len(self._connections), share):
                await asyncio.sleep(_WATCH_SECONDS)
                now = asyncio.get_running_loop().time()
                for connection in self._connections[start : start + share]:
                    if connection is not None:
                        self._watch(connection, now)

    def _watch(self, connection: Connection, now: float) -> None:
        """Ask a broker that was silent for a sign of life, and give up one that gave none."""
        silent_seconds = now - connection.heard_at
        if silent_seconds > 2 * self._keepalive_seconds:
            connection.abort()
        elif silent_seconds > self._keepalive_seconds / 4:
            connection.ping()
