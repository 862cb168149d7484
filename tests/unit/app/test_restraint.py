"""The source is held back no more than the queue needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from penstock.app.restraint import Restraint
from penstock.model import Message
from penstock.pipeline.buffer import NoBuffer
from penstock.pipeline.queue import BatchQueue
from tests.support.batches import batch_of
from tests.support.clocks import ManualClock


class Publish(msgspec.Struct, frozen=True):
    topic: str
    payload: bytes
    packet_id: int | None
    correlation_data: bytes | None = None


QOS_0 = Publish("t", b"", None)
QOS_1 = Publish("t", b"", 7)


class Parts:
    """A source, an intake and a spool that only remember."""

    def __init__(self, *, spool: bool) -> None:
        self.usable = True
        self.reading = True
        self.taken: list[Message] = []
        self.lost: dict[str | None, int] = {}
        parts: Any = self
        self.restraint = Restraint(parts, parts if spool else NoBuffer(), self.shed)
        self.queue = BatchQueue(
            max_rows=10, max_bytes=10**9, on_full=self.restraint.full, on_room=self.restraint.room,
            clock=ManualClock(),
        )  # fmt: skip
        self.restraint.restrain(parts, self.queue)

    def pause(self) -> None:
        self.reading = False

    def resume(self) -> None:
        self.reading = True

    def accept(self, messages: Sequence[Message]) -> None:
        self.taken += messages

    def weigh(self, message: Message) -> tuple[str | None, int]:
        return message.topic, 3

    def shed(self, readings: Mapping[str | None, int]) -> None:
        for tenant, count in readings.items():
            self.lost[tenant] = self.lost.get(tenant, 0) + count

    def receive(self) -> None:
        """Messages of both kinds arrive, where they are read."""
        if self.reading:
            self.restraint.accept([QOS_0, QOS_1, QOS_0])


def test_without_a_spool_a_full_queue_pauses_the_source() -> None:
    parts = Parts(spool=False)
    batch = batch_of(rows=10)
    parts.queue.put(batch)
    parts.receive()
    assert (parts.reading, parts.taken, parts.lost) == (False, [], {})
    parts.queue.settle(batch)
    parts.receive()
    assert (parts.reading, len(parts.taken), parts.lost) == (True, 3, {})


def test_a_spool_that_lags_behind_pauses_the_source_and_sheds_nothing() -> None:
    parts = Parts(spool=True)
    parts.queue.put(batch_of(rows=10))
    parts.restraint.tick()
    assert (parts.reading, parts.restraint.paused, parts.lost) == (False, True, {})


def test_a_spool_that_is_full_sheds_qos_0_and_takes_qos_1() -> None:
    parts = Parts(spool=True)
    parts.usable = False
    batch = batch_of(rows=10)
    parts.queue.put(batch)
    parts.receive()
    assert (parts.reading, parts.taken, parts.lost) == (True, [QOS_1], {"t": 6})
    parts.queue.settle(batch)
    parts.receive()
    assert (len(parts.taken), parts.lost) == (4, {"t": 6})


def test_at_twice_the_bound_nothing_more_is_read() -> None:
    parts = Parts(spool=True)
    parts.usable = False
    parts.queue.put(batch_of(rows=10))
    parts.queue.put(batch_of(rows=10, number=2))
    parts.receive()
    assert parts.restraint.paused
    parts.restraint.tick()
    assert not parts.reading


def test_a_spool_that_becomes_full_while_the_source_is_paused_is_noticed() -> None:
    parts = Parts(spool=True)
    parts.queue.put(batch_of(rows=10))
    parts.usable = False
    parts.restraint.tick()
    parts.receive()
    assert (parts.taken, parts.lost) == ([QOS_1], {"t": 6})


def test_after_the_stop_nothing_is_read_again() -> None:
    parts = Parts(spool=True)
    batch = batch_of(rows=10)
    parts.queue.put(batch)
    parts.restraint.stop()
    parts.queue.settle(batch)
    assert not parts.reading
