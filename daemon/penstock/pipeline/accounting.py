"""Keeps the ledger and the counts in step with the batches.

Invariant: a batch enters the account once, when it is sealed, and leaves the column `in_flight`
with the same readings once, when it is committed or on the disk; in the latter case it leaves the
column `spooled` likewise, when the spool has let go of it. What it became is counted from what the
database answered, so that a reading which got lost on the way shows as an imbalance.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from penstock.clock import Clock
from penstock.model import Batch
from penstock.observability.metrics import Metrics
from penstock.pipeline.bisect import Outcome
from penstock.pipeline.intake import Sealed


class Accounting:
    """Told of every batch by the intake and by the writers."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def sealed(self, sealed: Sealed) -> None:
        """Count what was received."""
        batch, intake = sealed.batch, self._metrics.intake
        self._metrics.sealed[sealed.cause] += 1
        intake.messages_qos1 += len(sealed.packet_ids)
        intake.messages_qos0 += batch.messages - len(sealed.packet_ids)
        intake.empty_messages += sealed.empty_messages
        intake.payload_bytes += sealed.payload_bytes
        intake.queued_readings += batch.readings
        for tenant, readings in readings_by_tenant(batch).items():
            account = self._metrics.ledger.account(tenant)
            account.received += readings
            account.in_flight += readings

    def committed(self, batch: Batch, outcome: Outcome, *, store_seconds: float) -> None:
        """Count what became of a batch, now that all of it is committed."""
        for tenant, readings in readings_by_tenant(batch).items():
            self._metrics.ledger.account(tenant).in_flight -= readings
        self._count_outcome(batch, outcome)
        self._observe(batch, store_seconds)

    def spooled(self, batch: Batch) -> None:
        """Count a batch that is on the disk now."""
        for tenant, readings in readings_by_tenant(batch).items():
            account = self._metrics.ledger.account(tenant)
            account.in_flight -= readings
            account.spooled += readings

    def replayed(self, batch: Batch, outcome: Outcome) -> None:
        """Count what became of a batch that came from the disk and is there no more."""
        for tenant, readings in readings_by_tenant(batch).items():
            self._metrics.ledger.account(tenant).spooled -= readings
        self._count_outcome(batch, outcome)

    def shed(self, readings: Mapping[str | None, int]) -> None:
        """Count readings that were received and given up at once."""
        for tenant, given_up in readings.items():
            account = self._metrics.ledger.account(tenant)
            account.received += given_up
            account.shed += given_up

    def spool_opened(self, more_readings: Mapping[str | None, int]) -> None:
        """Count what is in the spool unawares as received, and what is missing there as shed."""
        for tenant, more in more_readings.items():
            account = self._metrics.ledger.account(tenant)
            account.spooled += more
            account.received += max(0, more)
            account.shed += max(0, -more)

    def spool_dropped(self, readings: Mapping[str | None, int]) -> None:
        """Count readings that left the spool for good and are stored nowhere."""
        for tenant, dropped in readings.items():
            account = self._metrics.ledger.account(tenant)
            account.spooled -= dropped
            account.shed += dropped

    def spool_surplus(self, readings: Mapping[str | None, int]) -> None:
        """Count readings that came to be in the spool as well as elsewhere."""
        for tenant, surplus in readings.items():
            account = self._metrics.ledger.account(tenant)
            account.received += surplus
            account.spooled += surplus

    def _count_outcome(self, batch: Batch, outcome: Outcome) -> None:
        ledger = self._metrics.ledger
        for tenant, readings in outcome.inserted.items():
            ledger.account(tenant).stored += readings
        for tenant, readings in outcome.duplicates.items():
            ledger.account(tenant).duplicate += readings
        for letter in outcome.dead_letters:
            ledger.account(letter.tenant).dead_lettered += 1
            self._metrics.dead_letters[letter.reason] += 1
        self._metrics.storage.poison_readings += len(outcome.dead_letters) - len(batch.dead_letters)

    def _observe(self, batch: Batch, store_seconds: float) -> None:
        metrics, now_us = self._metrics, self._clock.now_us()
        metrics.batch_rows.observe(batch.rows)
        metrics.store_seconds.observe(store_seconds)
        metrics.receive_to_commit_seconds.observe(
            (now_us - batch.first_received_us) / 1e6, weight=batch.messages
        )
        metrics.publish_to_commit_seconds.observe_many((now_us - batch.numbers.ts_us) / 1e6)


def readings_by_tenant(batch: Batch) -> Counter[str | None]:
    """Readings by tenant, a dead letter counting as one; `None` where no tenant is known."""
    total: Counter[str | None] = Counter()
    series = np.concatenate([batch.numbers.series, batch.texts.series])
    total.update(batch.index.count_by_tenant(series))
    total.update(letter.tenant for letter in batch.dead_letters)
    return total
