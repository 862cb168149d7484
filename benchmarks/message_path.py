"""The way from the bytes of a session to sealed batches, as the daemon wires it.

There is no broker, no database and no waiting. To be used within an event loop, because the intake
sets a timer; it never gets to ring.
"""

from collections.abc import Callable

import mqtt5
import structlog

from penstock.clock import SystemClock
from penstock.decode import make_decoders
from penstock.mqtt.session import Session
from penstock.observability.metrics import SealCause
from penstock.observability.sampling import SampledLog
from penstock.pipeline.devices import TopicCache
from penstock.pipeline.intake import Intake, Sealed
from penstock.settings.tree import Settings
from penstock.topics import Router


class MessagePath:
    """Session, topic cache and intake; what is sealed goes to `sealed`."""

    def __init__(self, settings: Settings, sealed: Callable[[Sealed], None]) -> None:
        clock = self._clock = SystemClock()
        router = Router(settings.routes, settings.limits)
        self.session = Session(
            settings.mqtt,
            router.filters,
            clock.monotonic_seconds(),
            largest_payload_bytes=settings.limits.payload_bytes + 1,
        )
        self.session.receive(mqtt5.ConnAckPacket().write())
        self.topics = TopicCache(
            router,
            make_decoders(settings.routes, settings.limits),
            lambda _tenant, _device: True,
            max_entries=settings.registry.max_series,
        )
        self.intake = Intake(
            self.topics,
            sealed,
            clock,
            SampledLog(structlog.get_logger(__name__), clock),
            batch_rows=settings.storage.batch_rows,
            batch_bytes=settings.storage.batch_bytes,
            flush_interval_seconds=settings.storage.flush_interval_ms / 1000,
            dead_letter_bytes=settings.limits.dead_letter_bytes,
        )

    def receive(self, data: bytes) -> None:
        """Take one read of the socket."""
        self.intake.accept(self.session.receive(data))
        self.session.take_output(self._clock.monotonic_seconds())

    def flush(self) -> None:
        """Seal what is left."""
        self.intake.seal(SealCause.AGE)


class CountedPath(MessagePath):
    """One whose batches are acknowledged, counted and thrown away."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, self._count)
        self.start_counting()

    def start_counting(self) -> None:
        """Count from 0."""
        self.messages = self.readings = self.dead_letters = 0

    def _count(self, sealed: Sealed) -> None:
        self.session.acknowledge(sealed.packet_ids)
        self.messages += sealed.batch.messages
        self.readings += sealed.batch.readings
        self.dead_letters += len(sealed.batch.dead_letters)
