"""Sequences of received, sealed, committed, failed, unknown, spooled, replayed and crashed.

The whole path is the daemon's own, from the intake to the acknowledgement, wired as the daemon
wires it: queue, writers, overflow, breaker, replayer, ack ledger, account. Models are what it
stands between: the broker, the database and the disk. Time is virtual.
"""

import asyncio
import math
import sys
from collections.abc import Coroutine, Sequence
from enum import StrEnum
from typing import Any, cast

import msgspec
import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from penstock.app import flow as flow_module
from penstock.app.flow import Flow
from penstock.model import Batch, Message
from penstock.observability.metrics import Metrics, SealCause
from penstock.settings.tree import Settings, Storage
from penstock.settings.tree import Spool as SpoolSettings
from tests.support.batches import FIRST_TS_US
from tests.support.clocks import ManualClock
from tests.support.model_database import (
    GIVES_UP_SECONDS,
    ModelDatabase,
    Mood,
    identity_of,
    readings_in,
    refused_value,
)
from tests.support.model_spool import Disk, DiskMood, ModelSpool
from tests.support.spooling import batch_in
from tests.support.virtual_time import VirtualTimeLoop

BATCH_ROWS, QUEUE_ROWS = 4, 16
READ_MESSAGES = 5
"""What one read of the socket brings at most."""
PATIENT_SECONDS = 10.0
"""By then a batch is in the database or in the spool, where that works."""
LONG_SECONDS = 300.0
MOMENTS = st.sampled_from([0.0, 0.005, 0.05, 0.5, 2.5, 10.0, 40.0])


class Content(StrEnum):
    """What is in a message."""

    READING = "reading"
    POISON = "poison"
    GARBAGE = "garbage"


class Publish(msgspec.Struct, frozen=True):
    """A message as the broker sends it; `number` tells it from all others."""

    number: int
    topic: str
    payload: bytes
    packet_id: int | None
    correlation_data: bytes | None = None


class Broker:
    """Sends again on a new connection what was not acknowledged on the last."""

    def __init__(self) -> None:
        self.connection = 1
        self.reading = True
        self.waiting: list[Publish] = []
        """To be sent, when they are read."""
        self.sent: list[Publish] = []
        """On this connection, of QoS 1, not acknowledged, in the order in which they were sent."""
        self.acknowledged: set[int] = set()
        self._last_packet_id = 0

    def next_read(self) -> list[Publish]:
        """What is read from the socket at once."""
        read, self.waiting = self.waiting[:READ_MESSAGES], self.waiting[READ_MESSAGES:]
        messages = [self._numbered(message) for message in read]
        self.sent += [message for message in messages if message.packet_id is not None]
        return messages

    def reconnect(self) -> None:
        self.connection += 1
        self.waiting = self.sent + self.waiting
        self.sent = []

    def _numbered(self, message: Publish) -> Publish:
        if message.packet_id is None:
            return message
        self._last_packet_id += 1
        return msgspec.structs.replace(message, packet_id=self._last_packet_id)


class Source:
    """Fulfils what the flow asks of `penstock.mqtt.source.Source`, for one life of the daemon."""

    def __init__(self, machine: "FlowMachine") -> None:
        self._machine = machine
        self.ended = False

    def pause(self) -> None:
        self._machine.broker.reading = False

    def resume(self) -> None:
        self._machine.broker.reading = True

    def acknowledge(self, connection: int, packet_ids: Sequence[int]) -> None:
        if not self.ended:
            self._machine.acknowledged(connection, packet_ids)


class FlowMachine(RuleBasedStateMachine):
    """A daemon that is killed and started again, between a broker, a database and a disk."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = VirtualTimeLoop(self.clock)
        self.broker, self.database, self.disk = Broker(), ModelDatabase(), Disk()
        self.patches = pytest.MonkeyPatch()
        self.bugs: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.bugs.append(context))
        structlog.configure(
            processors=[_drop],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )
        self.disk_changed_seconds = -math.inf
        self.published = 0
        self.starts = 0

    @initialize(spool=st.booleans(), writers=st.integers(1, 3))
    def begin(self, spool: bool, writers: int) -> None:
        self.settings = Settings(
            storage=Storage(writers=writers, batch_rows=BATCH_ROWS, queue_rows=QUEUE_ROWS),
            spool=SpoolSettings(path="spool" if spool else None),
        )
        self.patches.setattr(flow_module, "make_source", lambda *_, **__: Source(self))
        self.patches.setattr(
            flow_module, "Spool", lambda _settings, _counts, account, _: self.make_spool(account)
        )
        self.run(self.start())

    @rule(
        kinds=st.lists(
            st.tuples(st.sampled_from(Content), st.sampled_from([0, 1, 1])), min_size=1, max_size=12
        )
    )
    def receive(self, kinds: list[tuple[Content, int]]) -> None:
        self.broker.waiting += [self.publish(content, qos) for content, qos in kinds]
        self.run(self.read())

    @rule(seconds=MOMENTS)
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        if seconds >= PATIENT_SECONDS and self.has_room and self.database.mood is not Mood.SLOW:
            assert not self.flow.queue.unsettled
        self.run(self.read())

    @property
    def has_room(self) -> bool:
        """Whether there has been a spool to turn to for longer than anything waits."""
        since_seconds = self.clock.monotonic_seconds() - self.disk_changed_seconds
        well = self.disk.mood is DiskMood.WELL and since_seconds > 2 * GIVES_UP_SECONDS
        return well and self.settings.spool.path is not None

    @rule(mood=st.sampled_from(Mood), ends_what_is_left=st.booleans())
    def database_becomes(self, mood: Mood, ends_what_is_left: bool) -> None:
        self.database.mood = mood
        self.database.ends_what_is_left = ends_what_is_left

    @rule(mood=st.sampled_from(DiskMood), ends_what_is_left=st.booleans())
    def disk_becomes(self, mood: DiskMood, ends_what_is_left: bool) -> None:
        self.disk_changed_seconds = self.clock.monotonic_seconds()
        self.disk.mood = mood
        self.disk.ends_what_is_left = ends_what_is_left

    @rule()
    def lose_connection(self) -> None:
        self.broker.reconnect()
        self.flow.connected(self.broker.connection)
        self.run(self.read())

    @rule()
    def crash(self) -> None:
        self.source.ended = True
        self.run(self.end())
        self.run(self.start())

    @rule(limit_seconds=MOMENTS)
    def stop_and_start(self, limit_seconds: float) -> None:
        """As the daemon does it."""
        self.run(self.drain(limit_seconds))
        self.crash()

    @invariant()
    def what_was_acknowledged_is_safe(self) -> None:
        assert self.broker.acknowledged <= self.safe()

    @invariant()
    def what_was_not_acknowledged_is_remembered(self) -> None:
        assert self.flow.unacknowledged_messages == len(self.broker.sent)

    @invariant()
    def the_account_balances(self) -> None:
        totals = self.metrics.ledger.totals()
        assert self.metrics.ledger.imbalances() == {}
        in_flight = sum(batch.rows for batch in self.flow.queue.unsettled.values())
        assert totals.in_flight == in_flight
        # What is replayed twice balances: it is counted as a duplicate.
        assert totals.spooled >= 0

    @invariant()
    def the_queue_counts_what_is_not_settled_and_is_bounded(self) -> None:
        queue = self.flow.queue
        assert queue.rows == sum(batch.rows for batch in queue.unsettled.values())
        assert list(queue.unsettled) == sorted(queue.unsettled)
        waiting = [batch.number for batch in queue._waiting]
        assert waiting == sorted(waiting)
        bound = QUEUE_ROWS if self.settings.spool.path is None else 2 * QUEUE_ROWS
        assert queue.rows < bound + READ_MESSAGES + BATCH_ROWS

    @invariant()
    def nothing_ended_by_itself(self) -> None:
        assert self.bugs == []
        for task in self.tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended")

    @invariant()
    def nothing_is_stored_again_without_a_reason(self) -> None:
        if self.database.failures == 0 and self.starts == 1 and self.broker.connection == 1:
            assert set(self.database.commits.values()) <= {1}

    def teardown(self) -> None:
        if self.starts:
            # What is wrong already is not to be looked for again, each time at length.
            if sys.exception() is None:
                self.everything_is_well_in_the_end()
            self.source.ended = True
            self.run(self.end())
        structlog.reset_defaults()
        self.patches.undo()
        self.loop.close()

    def everything_is_well_in_the_end(self) -> None:
        self.database.mood, self.disk.mood = Mood.WELL, DiskMood.WELL
        self.run(self.until_quiet())
        queue, totals = self.flow.queue, self.metrics.ledger.totals()
        assert (queue.rows, queue.size_bytes, queue.full, len(queue)) == (0, 0, False, 0)
        assert not queue.crowded
        assert not any(writer.busy for writer in self.flow.writers)
        assert self.flow.breaker.closed
        assert (self.flow.unacknowledged_messages, self.broker.sent) == (0, [])
        assert (totals.in_flight, totals.spooled, self.disk.records) == (0, 0, {})
        assert self.metrics.ledger.imbalances() == {}
        stored = self.stored()
        assert self.broker.acknowledged <= stored <= set(range(1, self.published + 1))
        assert len(self.delivered - stored) == totals.shed

    async def until_quiet(self) -> None:
        async with asyncio.timeout(LONG_SECONDS):
            while (
                self.broker.waiting
                or self.flow.unacknowledged_messages
                or self.flow.queue.unsettled
                or self.flow.intake.building_rows
                or self.disk.records
                # It has still to be found out that what a disk said it kept is removed.
                or self.metrics.ledger.totals().spooled > 0
                or not self.flow.breaker.closed
                or any(writer.busy for writer in self.flow.writers)
            ):
                await self.read()
                await asyncio.sleep(0.5)

    def publish(self, content: Content, qos: int) -> Publish:
        self.published += 1
        number = self.published
        value = -number if content is Content.POISON else number
        envelope = {"ts": FIRST_TS_US + number, "metrics": {"m": value}}
        garbage = content is Content.GARBAGE
        payload = f"?{number}".encode() if garbage else msgspec.json.encode(envelope)
        return Publish(number, f"devices/t/d{number % 3}/telemetry", payload, qos or None)

    async def read(self) -> None:
        """Read from the socket what may be read."""
        while self.broker.reading and self.broker.waiting:
            messages = self.broker.next_read()
            self.delivered |= {message.number for message in messages}
            self.flow.accept(cast(Sequence[Message], messages))
            await asyncio.sleep(0.001)

    def acknowledged(self, connection: int, packet_ids: Sequence[int]) -> None:
        """PUBACKs leave in the order of receipt, on their connection, for what is safe alone."""
        broker = self.broker
        assert connection == broker.connection
        due, broker.sent = broker.sent[: len(packet_ids)], broker.sent[len(packet_ids) :]
        assert [message.packet_id for message in due] == list(packet_ids)
        numbers = {message.number for message in due}
        assert numbers <= self.safe()
        broker.acknowledged |= numbers

    def safe(self) -> set[int]:
        on_disk = [batch_in(record) for record in self.disk.records.values()]
        return self.stored().union(*map(_numbers_in, on_disk))

    def stored(self) -> set[int]:
        letters = {_number_of_letter(payload) for _, _, payload in self.database.letters}
        return letters | {round(abs(value)) for value in self.database.rows.values()}

    async def start(self) -> None:
        """The daemon starts, and connects."""
        self.starts += 1
        self.database.forget_attempts()
        self.delivered: set[int] = set()
        """Read from the socket in this life."""
        self.metrics = Metrics(self.clock)
        self.flow = Flow(
            self.settings, self.database, self.database.probe, lambda *_: True, self.metrics,
            self.clock,
        )  # fmt: skip
        self.source = cast(Source, self.flow.source)
        self.tasks = [asyncio.create_task(mover, name=name) for name, mover in self.flow.movers()]
        self.movers = list(self.tasks)
        if self.flow.spool is not None:
            self.tasks.append(asyncio.create_task(self.flow.spool.run(), name="spool"))
        self.tasks.append(asyncio.create_task(self.tick(), name="tick"))
        self.broker.reading = True
        self.broker.reconnect()
        self.broker.connection = 1
        self.flow.connected(self.broker.connection)
        await self.read()

    async def end(self) -> None:
        """Nothing of the process is left; what it had begun may end as it is to."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.flow.intake.seal(SealCause.STOP)

    async def drain(self, limit_seconds: float) -> None:
        try:
            async with asyncio.timeout(limit_seconds):
                await self.flow.drain()
        except TimeoutError:
            for mover in self.movers:
                mover.cancel()
            await asyncio.gather(*self.movers, return_exceptions=True)
            await self.flow.rescue()

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.flow.tick()

    def make_spool(self, account: Any) -> ModelSpool:
        return ModelSpool(self.disk, account)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)


def _drop(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent


def _numbers_in(batch: Batch) -> set[int]:
    letters = {_number_of_letter(identity_of(letter)[2]) for letter in batch.dead_letters}
    return letters | {round(abs(value)) for value in readings_in(batch).values()}


def _number_of_letter(payload: bytes) -> int:
    if payload.startswith(b"?"):
        return int(payload[1:])
    return round(abs(refused_value(payload)))


FlowMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, derandomize=True)
TestFlowMachine = FlowMachine.TestCase
