"""From received messages to sealed batches, in one synchronous pass.

Invariants: every message ends as readings or as one dead letter, in the batch that also carries
its packet identifier; a batch is sealed when it has enough rows or bytes, when it is old enough,
when the connection changes, or on demand, whichever comes first; nothing here awaits, and nothing
is kept of a message but its columns.

No two messages, and no two envelopes of a batch, are stamped with the same microsecond of receipt:
readings without a timestamp of their own would else be taken for duplicates of one another. The
stamps may run ahead of the clock for that, but not by much: a clock that is set back is followed.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from penstock.clock import Clock
from penstock.errors import Reason, Rejected
from penstock.model import Batch, DeadLetter, Message, Sample, Value
from penstock.observability.metrics import SealCause
from penstock.observability.sampling import SampledLog
from penstock.pipeline.builder import BatchBuilder
from penstock.pipeline.devices import TopicCache

_MOST_AHEAD_US = 1_000_000
"""By how much the stamps may run ahead of the clock before they start from it again."""

_CORRELATION_CHARACTERS = 512
"""Kept of a message's correlation data, which its sender may make 64 KB long."""


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed batch, and what only its acknowledgement and its account need to know."""

    batch: Batch
    connection: int
    """Connection on which all of its messages were received."""
    packet_ids: Sequence[int]
    """To acknowledge once the batch is committed, in the order of receipt."""
    empty_messages: int
    payload_bytes: int
    cause: SealCause


class Intake:
    """Fulfils `penstock.mqtt.source.Intake`. Not safe for several threads."""

    def __init__(
        self,
        topics: TopicCache,
        sealed: Callable[[Sealed], None],
        clock: Clock,
        log: SampledLog,
        *,
        batch_rows: int,
        batch_bytes: int,
        flush_interval_seconds: float,
        dead_letter_bytes: int,
    ) -> None:
        self._topics = topics
        self._sealed = sealed
        self._clock = clock
        self._log = log
        self._batch_rows = batch_rows
        self._batch_bytes = batch_bytes
        self._flush_interval_seconds = flush_interval_seconds
        self._dead_letter_bytes = dead_letter_bytes
        self._builder = BatchBuilder(topics.index)
        self._connection = 0
        self._next_received_us = 0
        self._age_timer: asyncio.TimerHandle | None = None

    def connected(self, connection: int) -> None:
        """Seal what came on the connection before: packet identifiers belong to one connection."""
        self.seal(SealCause.CONNECTION)
        self._connection = connection

    def accept(self, messages: Sequence[Message]) -> None:
        """Take messages in the order received."""
        received_us = self._first_stamp_us()
        if self._topics.full:
            self._renew_topics()
        for message in messages:
            received_us += self._take(message, received_us)
        self._next_received_us = received_us
        if self._age_timer is None and self._builder.messages:
            self._age_timer = asyncio.get_running_loop().call_later(
                self._flush_interval_seconds, self._seal_by_age
            )

    def weigh(self, message: Message) -> tuple[str | None, int]:
        """The tenant of a message and its readings, one that is refused counting as one."""
        try:
            known = self._topics.get(message.topic) or self._topics.resolve(message.topic)
            groups = known.decode(message.payload, known.origin, self._clock.now_us())
        except Exception:  # noqa: BLE001 - as in `_take`, but nobody will look into it
            origin = self._topics.origin(message.topic)
            return origin.tenant if origin else None, 1
        return known.origin.tenant, sum(_readings(group.metrics) for group in groups)

    def seal(self, cause: SealCause) -> None:
        """Hand on the batch under construction, if anything is in it."""
        if self._age_timer is not None:
            self._age_timer.cancel()
            self._age_timer = None
        builder = self._builder
        if builder.messages:
            packet_ids, empty_messages = builder.packet_ids, builder.empty_messages
            payload_bytes = builder.payload_bytes
            self._sealed(
                Sealed(
                    batch=builder.seal(),
                    connection=self._connection,
                    packet_ids=packet_ids,
                    empty_messages=empty_messages,
                    payload_bytes=payload_bytes,
                    cause=cause,
                )
            )

    @property
    def building_rows(self) -> int:
        """Readings and dead letters received and not sealed yet."""
        return self._builder.rows

    @property
    def building_packets(self) -> int:
        """Messages to acknowledge that were received and not sealed yet."""
        return len(self._builder.packet_ids)

    @property
    def building_since_us(self) -> int | None:
        """When the first message of the batch was received; None when there is none."""
        return self._builder.first_received_us if self._builder.messages else None

    def _first_stamp_us(self) -> int:
        now_us = self._clock.now_us()
        ahead_us = self._next_received_us - now_us
        return self._next_received_us if 0 < ahead_us <= _MOST_AHEAD_US else now_us

    def _take(self, message: Message, received_us: int) -> int:
        """Take one message; returns how many microseconds later the next one is stamped."""
        builder, payload, stamps = self._builder, message.payload, 1
        builder.begin(message.packet_id, len(payload), received_us)
        try:
            known = self._topics.get(message.topic) or self._topics.resolve(message.topic)
            groups = known.decode(payload, known.origin, received_us)
            builder.add(known.device, groups)
            stamps = len(groups) or 1
        except Rejected as refusal:
            builder.reject(self._dead_letter(message, refusal, received_us))
        except MemoryError:
            # Not the message's fault: it is to come again when there is memory.
            raise
        except Exception as bug:  # noqa: BLE001 - one message must not crash each new start
            builder.reject(self._dead_letter(message, self._internal_error(bug), received_us))
        if builder.rows >= self._batch_rows:
            self.seal(SealCause.ROWS)
        elif builder.size_bytes >= self._batch_bytes:
            self.seal(SealCause.BYTES)
        return stamps

    def _seal_by_age(self) -> None:
        self._age_timer = None
        self.seal(SealCause.AGE)

    def _renew_topics(self) -> None:
        """Start the caches anew; the batch under construction belongs to the old series index."""
        self.seal(SealCause.CACHE)
        self._topics.renew()
        self._builder.index = self._topics.index

    def _dead_letter(self, message: Message, refusal: Rejected, received_us: int) -> DeadLetter:
        payload, detail = message.payload, refusal.detail
        if len(payload) > self._dead_letter_bytes:
            kept, size = self._dead_letter_bytes, len(payload)
            detail = f"{detail}; only the first {kept} of {size} bytes are kept"
            payload = payload[:kept]
        origin = self._topics.origin(message.topic)
        return DeadLetter(
            received_us=received_us,
            topic=message.topic,
            payload=payload,
            reason=refusal.reason,
            detail=detail,
            tenant=origin.tenant if origin else None,
            device=origin.device if origin else None,
            correlation_id=_correlation_id(message.correlation_data),
        )

    def _internal_error(self, bug: Exception) -> Rejected:
        self._log.warning("message_failed", reason=Reason.INTERNAL_ERROR, exc_info=bug)
        return Rejected(Reason.INTERNAL_ERROR, f"{type(bug).__name__}: {bug}"[:300])


def _correlation_id(data: bytes | None) -> str | None:
    """MQTT 5 correlation data (§3.3.2.3.6): as it is where it is printable text, else in hex."""
    if not data:
        return None
    in_hex = data[: _CORRELATION_CHARACTERS // 2].hex()
    try:
        text = data[:_CORRELATION_CHARACTERS].decode()
    except UnicodeDecodeError:
        return in_hex
    return text if text.isprintable() else in_hex


def _readings(metrics: dict[str, Value]) -> int:
    """How many of a message's metrics are readings; one that is null is none."""
    values = (one.value if isinstance(one, Sample) else one for one in metrics.values())
    return sum(value is not None for value in values)
