"""Publishes a prepared capture over MQTT 5, by its pacing or as fast as the broker takes it.

What holds of the simulator's publisher holds here, for it is the same lanes and connections: the
schedule is an open loop, a message counts as late from when it was due, and what was not
acknowledged when a connection was lost is sent again on the next. It ends by itself when every
message was sent and answered.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from penstock_simulator.capture.pacing import Pacing
from penstock_simulator.capture.prepared import Prepared, PreparedLane
from penstock_simulator.connection import PublishError
from penstock_simulator.descriptors import allow_connections
from penstock_simulator.dialling import Dialler
from penstock_simulator.effort import Effort
from penstock_simulator.fleet import Numbers
from penstock_simulator.lane import Lane
from penstock_simulator.ledger import ACKNOWLEDGED

_TICK_SECONDS = 0.002
_PATIENCE_SECONDS = 10.0
_CONNECTS_PER_SECOND = 2_000.0
_BLOCK_BYTES = 262_144
_ALL_BLOCK_BYTES = 67_108_864
"""What all lanes together hold of it in memory, about."""


class Replayer:
    """One replay.

    Args:
        url: `mqtt://[user:password@]host[:port]`, or `mqtts://`.
        prepared: what to publish; one connection for each of its lanes.
        pacing: when its messages are due.
        rounds: how many times, as it was prepared for.
        trust: whom to trust with `mqtts://`; the system's authorities without it.

    Raises:
        ValueError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        prepared: Prepared,
        pacing: Pacing,
        *,
        rounds: int = 1,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._prepared = prepared
        self._rounds = rounds
        self._pacings = [pacing.of(lane.messages) for lane in prepared.lanes]
        block_bytes = min(_BLOCK_BYTES, _ALL_BLOCK_BYTES // len(prepared.lanes))
        self._lanes = [
            Lane(lane, number, qos=lane.qos, block_bytes=block_bytes)
            for number, lane in enumerate(prepared.lanes)
        ]
        self._dialler = Dialler(
            url,
            f"penstock-replay-{secrets.token_hex(4)}",
            self._lanes,
            self._pump,
            births=None,
            per_second=_CONNECTS_PER_SECOND,
            trust=trust,
        )
        self._publishing = False
        self._began_at = 0.0
        self.began_us = 0
        """When the schedule began, in µs since the epoch; 0 before."""
        self.effort: Effort | None = None
        """How hard the process has had to work since then."""

    @property
    def published(self) -> int:
        """Messages sent so far, each counted once."""
        return sum(lane.sent for lane in self._lanes)

    @property
    def acknowledged(self) -> int:
        """Messages that the broker acknowledged; none of QoS 0."""
        return sum(int((lane.ledger.outcome == ACKNOWLEDGED).sum()) for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged yet; none of QoS 0."""
        return sum(lane.waiting for lane in self._lanes)

    @property
    def refused(self) -> int:
        """Messages that the broker answered with a reason of failure."""
        return sum(lane.refused for lane in self._lanes)

    @property
    def reconnects(self) -> int:
        """Connections that were lost and made again."""
        return self._dialler.reconnects

    async def run(self, stop: asyncio.Event, *, drain_seconds: float = 30.0) -> None:
        """Publish all, or until `stop`; then wait for what is in flight, and disconnect.

        Raises:
            PublishError: the broker refused a connection, or none could be made.
            OSError: the system does not allow so many connections.
        """
        allow_connections(len(self._lanes))
        dialling = asyncio.create_task(self._dialler.run(), name="dial")
        publishing = asyncio.create_task(self._publish(stop, drain_seconds), name="publish")
        try:
            done, _ = await asyncio.wait(
                (dialling, publishing), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            self._publishing = False
            for task in (dialling, publishing):
                task.cancel()
            await asyncio.gather(dialling, publishing, return_exceptions=True)
            self._dialler.abort()

    def sendings(self) -> "Iterator[Sending]":
        """What became of the messages, lane by lane."""
        for lane, prepared, pacing in zip(
            self._lanes, self._prepared.lanes, self._pacings, strict=True
        ):
            yield Sending(lane, prepared, pacing, self.began_us)

    async def _publish(self, stop: asyncio.Event, drain_seconds: float) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS + self._dialler.round_seconds):
                await self._dialler.wait_for_all()
        except TimeoutError:
            why = self._dialler.failure or "it does not answer"
            raise PublishError(f"the broker lets nobody in: {why}") from None
        self._began_at = asyncio.get_running_loop().time()
        self.began_us = time.time_ns() // 1_000
        self.effort = Effort()
        self._publishing = True
        while not stop.is_set() and not self._all_sent:
            self._tick()
            await asyncio.sleep(_TICK_SECONDS)
        self._publishing = False
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                while self.waiting:
                    self._tick()
                    await asyncio.sleep(_TICK_SECONDS)
                await self._dialler.close()

    @property
    def _all_sent(self) -> bool:
        return all(
            lane.sent == prepared.slots
            for lane, prepared in zip(self._lanes, self._prepared.lanes, strict=True)
        )

    def _tick(self) -> None:
        self._dialler.listen()
        if self.effort is not None:
            self.effort.look()
        for which in range(len(self._lanes)):
            self._pump(which)

    def _pump(self, which: int) -> None:
        lane = self._lanes[which]
        due = 0
        if self._publishing:
            elapsed_us = int((asyncio.get_running_loop().time() - self._began_at) * 1e6)
            due = max(0, self._pacings[which].due(elapsed_us, self._rounds) - lane.sent)
        if due or lane.to_repeat:
            self._dialler.pump(which, due, time.time_ns() // 1_000)


class Sending:
    """What became of one lane's messages; the slots are those that were sent."""

    def __init__(self, lane: Lane, prepared: PreparedLane, pacing: Pacing, began_us: int) -> None:
        slots = np.arange(lane.sent, dtype=np.int64)
        self.messages: Numbers = prepared.messages[slots % len(prepared.messages)]
        """Which message of the capture each is."""
        self.qos = prepared.qos
        self.sent_us = lane.ledger.sent_us
        """When each was first handed to the socket, in µs since the epoch."""
        self.due_us = began_us + pacing.due_us(slots) if pacing.period_us else self.sent_us
        """When each should have been; as it was, where all was due at once."""
        self.acknowledged = lane.ledger.outcome == ACKNOWLEDGED
        """Whether the broker acknowledged each."""
        self.answered_us = lane.ledger.answered_us
        """When it did."""
