"""What is done to the source while the queue is full.

Without a spool, or while it merely lags behind, the source is paused: TCP and withheld PUBACKs hold
the broker back. A spool that is full or broken means that this may last. Then messages of QoS 1 are
read on, of which the broker sends no more than the in-flight window, and those of QoS 0, which
nobody could keep, are counted as shed; only at twice the queue's bounds is the source paused.

Invariants: memory is bounded in both cases; once shutdown has begun the source stays paused.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from penstock.model import Message
from penstock.mqtt.source import Source
from penstock.pipeline.buffer import Buffer, NoBuffer
from penstock.pipeline.intake import Intake
from penstock.pipeline.queue import BatchQueue


class Restraint:
    """Stands between the source and the intake."""

    def __init__(
        self,
        intake: Intake,
        buffer: Buffer,
        shed: Callable[[Mapping[str | None, int]], None],
    ) -> None:
        """`shed` is told of readings that are given up."""
        self._intake = intake
        self._buffer = buffer
        self._has_spool = not isinstance(buffer, NoBuffer)
        self._shed = shed
        self._stopping = False
        self._queue: BatchQueue
        self._source: Source
        self.paused = False
        self.accept: Callable[[Sequence[Message]], None] = intake.accept
        """Where the source's messages go now."""

    def restrain(self, source: Source, queue: BatchQueue) -> None:
        """Say whom to restrain, and on whose behalf."""
        self._source, self._queue = source, queue

    def full(self) -> None:
        """The queue is full."""
        if self._has_spool and not self._buffer.usable:
            self._shed_qos_0()
        else:
            self._pause()

    def room(self) -> None:
        """Half of the queue is free again."""
        self.accept = self._intake.accept
        self._resume()

    def tick(self) -> None:
        """To be called about once a second: a spool may have become full meanwhile."""
        lasting = self._has_spool and not self._buffer.usable
        if self.paused and lasting and not self._queue.overfull:
            self._shed_qos_0()

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True
        self._source.pause()

    def _shed_qos_0(self) -> None:
        self.accept = self._accept_without_qos_0
        self._resume()

    def _accept_without_qos_0(self, messages: Sequence[Message]) -> None:
        kept = [message for message in messages if message.packet_id is not None]
        if len(kept) < len(messages):
            shed: Counter[str | None] = Counter()
            for message in messages:
                if message.packet_id is None:
                    tenant, readings = self._intake.weigh(message)
                    shed[tenant] += readings
            self._shed(shed)
        if kept:
            self._intake.accept(kept)
        if self._queue.overfull:
            self._pause()

    def _pause(self) -> None:
        self.paused = True
        self._source.pause()

    def _resume(self) -> None:
        if self.paused and not self._stopping:
            self.paused = False
            self._source.resume()
