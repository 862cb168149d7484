"""Publishes a fleet's messages over MQTT 5, by a schedule or as fast as the broker takes them.

The schedule is an open loop: when a slot is due depends on the pace alone, so what could not be
sent while a lane or the broker was away goes out when it is back, and counts as late. It begins
when all lanes that are there from the beginning have been let in. The ledger notes for every
message when it was sent and when it was acknowledged. The publisher rides through broker
restarts: it reconnects for as long as it runs and sends again whatever was not acknowledged.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from penstock_simulator.agenda import NO_LIMIT, Agenda
from penstock_simulator.connection import PublishError
from penstock_simulator.descriptors import allow_connections
from penstock_simulator.dialling import Dialler
from penstock_simulator.effort import Effort
from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.lane import Lane
from penstock_simulator.ledger import Ledger
from penstock_simulator.life import Life
from penstock_simulator.pace import Pace, Steady
from penstock_simulator.packets import encoder_of
from penstock_simulator.schedule import Schedule
from penstock_simulator.stock import stock_up

_TICK_SECONDS = 0.002
_DRAIN_TICK_SECONDS = 0.02
_FULL_PATIENCE_SECONDS = 10.0
_ALL_BLOCK_BYTES = 16_777_216
"""What all lanes together hold encoded, about."""
_AHEAD_SECONDS = 0.02
_AHEAD_TICKS = 5

Allowance = Callable[[], int]
"""How many messages may have been published by now, in all lanes together."""


def see_that_some_were_taken(acknowledged: int, refused: int) -> None:
    """See that the broker did not refuse every message.

    Raises:
        PublishError: it did.
    """
    if refused and not acknowledged:
        raise PublishError(
            f"the broker refused all {refused:,} messages: may this user publish to their topics?"
        )


class Publisher:
    """Publishes some lanes of a fleet, or all.

    Args:
        url: `mqtt://[user:password@]host[:port]`, or `mqtts://`.
        fleet: what to publish; one MQTT connection for each of its lanes.
        rate: messages a second over all lanes of the fleet; 0 is as fast as possible.
        pace: what is due when, over all lanes of the fleet, instead of `rate`.
        jitter: share of the time between two messages of a lane by which one may be late.
        life: when connections are not there.
        lanes: the lanes that this process publishes.
        allowance: a further limit that is asked for at every tick.
        connects_per_second: how fast connections are made, also after they were cut.
        together: what it waits at, before it begins its schedule, for others that share it.
    """

    def __init__(
        self,
        url: str,
        fleet: Fleet,
        *,
        rate: float = 0.0,
        pace: Pace | None = None,
        jitter: float = 0.0,
        life: Life | None = None,
        lanes: Sequence[int] | None = None,
        allowance: Allowance | None = None,
        connects_per_second: float = 2_000.0,
        together: asyncio.Barrier | None = None,
    ) -> None:
        self._fleet = fleet
        self._together = together
        self._life = life or Life()
        self._allowance = allowance
        self._schedule = _schedule(
            fleet, pace or (Steady(rate) if rate else None), jitter, self._life
        )
        numbers = list(lanes or range(fleet.lanes))
        block_bytes = _ALL_BLOCK_BYTES // len(numbers)
        self._lanes = [Lane.of(fleet, number, block_bytes=block_bytes) for number in numbers]
        self._numbers = np.array(numbers, dtype=np.int64)
        self._agenda = Agenda(self._numbers, lanes=fleet.lanes, schedule=self._schedule)
        births = self._life.births
        self._dialler = Dialler(
            url,
            f"sim-{fleet.tag}",
            self._lanes,
            self._wake,
            births=births.seconds(fleet.seed, self._numbers) if births else None,
            per_second=connects_per_second,
        )
        self._started_at = 0.0
        self._place = NO_LIMIT
        self._publishing = False
        self._ticks = 0
        self._encoder = encoder_of(fleet)
        self.started = asyncio.Event()
        """Set when the schedule begins."""
        self.effort: Effort | None = None
        """How hard the process has had to work since then."""

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
    def reconnects(self) -> int:
        """Connections that were lost and made again."""
        return self._dialler.reconnects

    @property
    def connected(self) -> int:
        """Lanes that the broker has let in and that are not away."""
        return self._dialler.connected

    @property
    def ledger(self) -> Ledger:
        """What was sent so far. It shares the publisher's memory: save it before publishing on."""
        lanes = {lane.number: lane.ledger for lane in self._lanes}
        return Ledger(self._fleet, lanes, self._schedule)

    async def run(self, stop: asyncio.Event, *, drain_seconds: float = 30.0) -> None:
        """Publish until `stop`, then wait for what is in flight to be acknowledged, and disconnect.

        Raises:
            PublishError: the broker refused a connection.
            OSError: the system does not allow so many connections.
        """
        allow_connections(len(self._lanes))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        working = [
            asyncio.create_task(self._dialler.run(), name="dial"),
            asyncio.create_task(self._tick_forever(), name="tick"),
            asyncio.create_task(self._publish(), name="publish"),
        ]
        try:
            done, _ = await asyncio.wait([stopping, *working], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._publishing = False
            with suppress(TimeoutError):
                async with asyncio.timeout(drain_seconds):
                    await self._drain(working[:2])
        finally:
            self._publishing = False
            for task in (stopping, *working):
                task.cancel()
            await asyncio.gather(stopping, *working, return_exceptions=True)
            self._dialler.abort()

    async def _publish(self) -> None:
        """Begin the schedule, and have happen what the fleet's life holds."""
        patience_seconds = _FULL_PATIENCE_SECONDS + self._dialler.round_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._dialler.wait_for_all()
        if self._together is not None:
            await self._together.wait()
        self._begin()
        for departure in self._life.departures(self._fleet.seed, self._numbers):
            await self._until(departure.at_seconds)
            which = np.searchsorted(self._numbers, departure.lanes)
            back_at = self._started_at + departure.back_seconds
            self._dialler.cut(which.tolist(), back_at.tolist())
        await asyncio.Event().wait()

    def _begin(self) -> None:
        started_us = time.time_ns() // 1_000
        for lane in self._lanes:
            lane.ledger.started_us = started_us
        self._started_at = asyncio.get_running_loop().time()
        self.effort = Effort()
        self._publishing = True
        self._dialler.begin(self._started_at)
        self.started.set()

    async def _until(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._started_at + seconds - loop.time()))

    async def _drain(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while self.waiting:
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(_DRAIN_TICK_SECONDS)
        await self._dialler.close()

    async def _tick_forever(self) -> None:
        while True:
            self._tick()
            await asyncio.sleep(_TICK_SECONDS)

    def _tick(self) -> None:
        self._dialler.listen()
        if not self._publishing:
            return
        if self.effort is not None:
            self.effort.look()
        elapsed = asyncio.get_running_loop().time() - self._started_at
        place = self._agenda.place_at(elapsed)
        self._place = place if self._allowance is None else min(place, self._allowance() - 1)
        ready = self._agenda.ready(self._place)
        if len(ready):
            self._pump(ready)
        self._ticks += 1
        if self._schedule is not None and self._ticks % _AHEAD_TICKS == 0:
            place = self._agenda.place_at(elapsed + _AHEAD_SECONDS)
            self._stock_up(self._agenda.ready(place), place)

    def _stock_up(self, soon: Numbers, place: float) -> None:
        empty = [which for which in soon.tolist() if self._lanes[which].empty]
        if empty:
            due = self._agenda.due_slots(np.array(empty), place).tolist()
            stock_up(self._encoder, [self._lanes[which] for which in empty], due)

    def _wake(self, which: int) -> None:
        """Go on with a lane that could not send what it should have, or has to send it again."""
        lane, held = self._lanes[which], self._agenda.is_held(which)
        if held and lane.empty:
            # The next tick sends it, having encoded it together with others.
            self._agenda.resume(np.array([which]), np.array([lane.sent]))
        if lane.to_repeat or (held and not lane.empty):
            self._pump(np.array([which]))

    def _pump(self, ready: Numbers) -> None:
        if self._publishing:
            self._stock_up(ready, self._place)
        now_us = time.time_ns() // 1_000
        due = self._agenda.due_slots(ready, self._place).tolist()
        resumed: list[int] = []
        for which, count in zip(ready.tolist(), due, strict=True):
            new = max(0, count - self._lanes[which].sent) if self._publishing else 0
            if self._dialler.pump(which, new, now_us):
                resumed.append(which)
            else:
                self._agenda.hold(which)
        if resumed:
            sent = [self._lanes[which].sent for which in resumed]
            self._agenda.resume(np.array(resumed), np.array(sent))


def _schedule(fleet: Fleet, pace: Pace | None, jitter: float, life: Life) -> Schedule | None:
    if pace is None:
        return None
    return Schedule(
        seed=fleet.seed, lanes=fleet.lanes, pace=pace, jitter=jitter, births=life.births
    )
