"""Joins the stages from the source to the acknowledgement.

Invariants: a batch is entered in the ack ledger before it is queued, and leaves it only after it
is committed; a PUBACK is sent for nothing else. While the queue is full the source is paused; once
shutdown has begun the source stays paused.
"""

import logging
from random import random

import structlog

from penstock.backoff import Backoff
from penstock.clock import Clock
from penstock.decode import make_decoder
from penstock.model import Batch, DeadLetter
from penstock.mqtt.factory import make_source
from penstock.mqtt.ledger import AckLedger
from penstock.observability.metrics import Metrics, SealCause
from penstock.observability.sampling import SampledLog
from penstock.pipeline.accounting import Accounting
from penstock.pipeline.bisect import Outcome
from penstock.pipeline.devices import Admission, TopicCache
from penstock.pipeline.intake import Intake, Sealed
from penstock.pipeline.queue import BatchQueue
from penstock.pipeline.store import Store
from penstock.pipeline.writer import Writer
from penstock.settings.tree import Settings
from penstock.topics import Router

log = structlog.get_logger(__name__)


class Flow:
    """All stages of the message path, wired; the intake that the source feeds."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        admitted: Admission,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        storage = settings.storage
        router = Router(settings.routes, settings.limits)
        self._clock = clock
        self._accounting = Accounting(metrics, clock)
        self._sampled_log = SampledLog(log, clock)
        self._acks = AckLedger()
        self._stopping = False
        self.topics = TopicCache(
            router,
            [make_decoder(route, settings.limits) for route in settings.routes],
            admitted,
            max_entries=settings.registry.max_series,
        )
        self.intake = Intake(
            self.topics,
            self._sealed,
            clock,
            self._sampled_log,
            batch_rows=storage.batch_rows,
            batch_bytes=storage.batch_bytes,
            flush_interval_seconds=storage.flush_interval_ms / 1000,
            dead_letter_bytes=settings.limits.dead_letter_bytes,
        )
        self.accept = self.intake.accept
        self.queue = BatchQueue(
            max_rows=storage.queue_rows,
            max_bytes=storage.queue_bytes,
            on_full=self._hold_back,
            on_room=self._go_on,
        )
        self.source = make_source(
            settings.mqtt,
            router.filters,
            self,
            clock,
            largest_payload_bytes=max(
                settings.limits.payload_bytes + 1, settings.limits.dead_letter_bytes
            ),
        )
        self.writers = [
            Writer(
                f"writer-{number}",
                self.queue,
                store,
                self._committed,
                Backoff(storage.retry_min_seconds, storage.retry_max_seconds, random),
                metrics,
                clock,
            )
            for number in range(1, storage.writers + 1)
        ]

    def connected(self, connection: int) -> None:
        """The broker accepted a connection; what was not acknowledged before, it sends again."""
        self.intake.connected(connection)
        self._acks.connection_lost(connection - 1)

    def tick(self) -> None:
        """Once a second: say how many dead letters were not logged one by one."""
        self._sampled_log.flush()

    async def drain(self) -> None:
        """Stop the intake; store and acknowledge what was received."""
        self._stopping = True
        self.source.pause()
        self.intake.seal(SealCause.STOP)
        await self.queue.join()

    def close(self) -> None:
        """Say what `tick` would have said later."""
        self._sampled_log.close()

    def _sealed(self, sealed: Sealed) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "batch_sealed",
                batch=sealed.batch.number,
                rows=sealed.batch.rows,
                cause=sealed.cause.value,
            )
        self._acks.sealed(sealed.batch.number, sealed.connection, sealed.packet_ids)
        self._accounting.sealed(sealed)
        self.queue.put(sealed.batch)

    def _committed(self, batch: Batch, outcome: Outcome, store_seconds: float) -> None:
        for release in self._acks.completed(batch.number):
            self.source.acknowledge(release.connection, release.packet_ids)
        self._accounting.committed(batch, outcome, store_seconds=store_seconds)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "batch_committed",
                batch=batch.number,
                rows=batch.rows,
                store_seconds=round(store_seconds, 4),
            )
        for letter in outcome.dead_letters:
            self._log_dead_letter(letter)

    def _log_dead_letter(self, letter: DeadLetter) -> None:
        known = {
            "detail": letter.detail,
            "topic": letter.topic,
            "tenant": letter.tenant,
            "device": letter.device,
            "sqlstate": letter.sqlstate,
            "correlation_id": letter.correlation_id,
        }
        self._sampled_log.warning(
            "dead_letter",
            reason=letter.reason,
            **{name: value for name, value in known.items() if value is not None},
        )

    def _hold_back(self) -> None:
        self.source.pause()

    def _go_on(self) -> None:
        if not self._stopping:
            self.source.resume()

    @property
    def unacknowledged_messages(self) -> int:
        """Messages of QoS 1 whose PUBACK is withheld."""
        return self._acks.in_flight + self.intake.building_packets

    def oldest_age_seconds(self) -> float:
        """Since the oldest message that is not committed was received; 0 when there is none."""
        oldest_us = next(
            (batch.first_received_us for batch in self.queue.unsettled.values()),
            self.intake.building_since_us,
        )
        return 0.0 if oldest_us is None else max(0.0, (self._clock.now_us() - oldest_us) / 1e6)
