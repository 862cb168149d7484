"""Joins the stages from the source to the acknowledgement.

Invariants: a batch is entered in the ack ledger before it is queued, and leaves it only after it
is committed or on the disk; a PUBACK is sent for nothing else. While the queue is full the source
is restrained; once shutdown has begun it stays paused.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from random import random

import structlog

from penstock.app import exhaustion
from penstock.app.restraint import Restraint
from penstock.backoff import Backoff
from penstock.clock import Clock
from penstock.decode import make_decoders
from penstock.model import Batch, DeadLetter, Message
from penstock.mqtt.factory import make_source
from penstock.mqtt.ledger import AckLedger
from penstock.observability.metrics import Metrics, SealCause
from penstock.observability.sampling import SampledLog
from penstock.pipeline.accounting import Accounting
from penstock.pipeline.bisect import Outcome
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.buffer import NoBuffer
from penstock.pipeline.devices import Admission, TopicCache
from penstock.pipeline.intake import Intake, Sealed
from penstock.pipeline.overflow import Overflow
from penstock.pipeline.queue import BatchQueue
from penstock.pipeline.store import Store
from penstock.pipeline.writer import Reports, Writer
from penstock.settings.tree import Settings, Storage
from penstock.spool.episode import Episode
from penstock.spool.replayer import Probe, Replayer
from penstock.spool.spool import Spool
from penstock.topics import Router

log = structlog.get_logger(__name__)


class Flow:
    """All stages of the message path, wired; the intake that the source feeds."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        probe: Probe,
        admitted: Admission,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`probe` says whether the database answers at all."""
        storage = settings.storage
        router = Router(settings.routes, settings.limits)
        self._clock = clock
        self._accounting = Accounting(metrics, clock)
        self._sampled_log = SampledLog(log, clock)
        self._acks = AckLedger()
        self.topics = TopicCache(
            router,
            make_decoders(settings.routes, settings.limits),
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
        self.spool: Spool | None = None
        if settings.spool.path is not None:
            self.spool = Spool(settings.spool, metrics.spool, self._accounting, clock)
        self._episode = Episode(clock)
        buffer = self.spool or NoBuffer()
        self.restraint = Restraint(self.intake, buffer, self._accounting.shed)
        self.queue = BatchQueue(
            max_rows=storage.queue_rows,
            max_bytes=storage.queue_bytes,
            on_full=self.restraint.full,
            on_room=self.restraint.room,
            clock=clock,
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
        self.restraint.restrain(self.source, self.queue)
        self.breaker = Breaker(_backoff(storage), clock)
        self.writers = [
            Writer(
                f"writer-{number}",
                self.queue,
                store,
                buffer,
                Reports(self._committed, self._spooled),
                breaker=self.breaker,
                backoff=_backoff(storage),
                metrics=metrics,
                clock=clock,
                patience_seconds=settings.spool.after_seconds,
            )
            for number in range(1, storage.writers + 1)
        ]
        self._overflow = Overflow(
            self.queue,
            buffer,
            self._spooled,
            breaker=self.breaker,
            backoff=_backoff(storage),
            patience_seconds=settings.spool.after_seconds / 2,
        )
        self._replayer: Replayer | None = None
        if self.spool is not None:
            self._replayer = Replayer(
                self.spool,
                store,
                probe,
                self.breaker,
                _backoff(storage),
                self._replayed,
                metrics,
                clock,
                portion_rows=storage.batch_rows,
                portion_bytes=storage.batch_bytes,
            )

    def movers(self) -> Iterator[tuple[str, Coroutine[None, None, None]]]:
        """What moves batches out of the queue, by name, to be run until cancelled."""
        for writer in self.writers:
            yield writer.name, writer.run()
        if self.spool is not None and self._replayer is not None:
            yield "overflow", self._overflow.run()
            yield "replayer", self._replayer.run(lambda: self._overflow.near)

    def accept(self, messages: Sequence[Message]) -> None:
        """Take messages in the order received."""
        try:
            self.restraint.accept(messages)
        except MemoryError:
            # At once: a message that was begun would be acknowledged without its readings.
            exhaustion.end()

    def connected(self, connection: int) -> None:
        """The broker accepted a connection; what was not acknowledged before, it sends again."""
        self.intake.connected(connection)
        self._acks.connection_lost(connection - 1)

    def tick(self) -> None:
        """Once a second: say what was not said one by one, and look around."""
        self._sampled_log.flush()
        self.restraint.tick()
        if self.spool is not None:
            self._episode.tick(self.spool.standing.batches)

    async def drain(self) -> None:
        """Stop the intake; make safe and acknowledge what was received."""
        self.restraint.stop()
        self.intake.seal(SealCause.STOP)
        await self.queue.join()

    def close(self) -> None:
        """Say what `tick` would have said later."""
        self._sampled_log.close()

    async def rescue(self) -> None:
        """Put all that is left into the spool; the movers must have ended.

        What a mover held may be in the database or in the spool already: storing it again is safe.
        """
        left = list(self.queue.unsettled.values())
        if self.spool is not None and left:
            results = await asyncio.gather(*map(self.spool.append, left), return_exceptions=True)
            for batch, error in zip(left, results, strict=True):
                if error is None:
                    self.queue.settle(batch)
                    self._keep(batch)

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
        self._acknowledge(batch)
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

    def _spooled(self, batch: Batch) -> None:
        self._keep(batch)
        self._episode.spooled(batch.rows, database_well=self.breaker.closed)

    def _keep(self, batch: Batch) -> None:
        self._acknowledge(batch)
        self._accounting.spooled(batch)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("batch_spooled", batch=batch.number, rows=batch.rows)

    def _replayed(self, batch: Batch, outcome: Outcome) -> None:
        self._accounting.replayed(batch, outcome)
        for letter in outcome.dead_letters:
            self._log_dead_letter(letter)

    def _acknowledge(self, batch: Batch) -> None:
        for release in self._acks.completed(batch.number):
            self.source.acknowledge(release.connection, release.packet_ids)

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
        return max(self._age_seconds(oldest_us), self.spool_age_seconds())

    def spool_age_seconds(self) -> float:
        """Since the oldest message in the spool was received; 0 when there is none."""
        return self._age_seconds(self.spool.standing.oldest_us if self.spool else None)

    def _age_seconds(self, since_us: int | None) -> float:
        return 0.0 if since_us is None else max(0.0, (self._clock.now_us() - since_us) / 1e6)


def _backoff(storage: Storage) -> Backoff:
    return Backoff(storage.retry_min_seconds, storage.retry_max_seconds, random)
