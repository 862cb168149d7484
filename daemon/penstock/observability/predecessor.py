"""The `ingest_*` metrics that the predecessor platform's dashboards and alerts use.

Their values are our own counts, put together as those dashboards read them.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from penstock.errors import Reason
from penstock.observability.families import Family, counter
from penstock.observability.levels import Levels
from penstock.observability.metrics import Metrics, Retry

PROCESSING_REASONS = frozenset(
    {
        Reason.BAD_TOPIC,
        Reason.UNKNOWN_ROUTE,
        Reason.TENANT_MISMATCH,
        Reason.DEVICE_MISMATCH,
        Reason.UNREGISTERED_DEVICE,
        Reason.INTERNAL_ERROR,
    }
)
"""Not the payload's fault but the sender's place, or ours: `error_type="processing"`."""


def predecessor_families(metrics: Metrics, levels: Levels) -> Iterator[Family]:
    """The families for this moment."""
    totals, letters = metrics.ledger.totals(), metrics.dead_letters
    database = letters[Reason.STORAGE_ERROR]
    processing = sum(letters[reason] for reason in PROCESSING_REASONS)
    validation = sum(letters.values()) - processing - database
    yield counter(
        "ingest_events_total",
        "Readings queued, stored (or there already), and dead-lettered.",
        "status",
        {
            "queued": metrics.intake.queued_readings,
            "success": totals.stored + totals.duplicate,
            "error": totals.dead_lettered,
        },
    )
    yield counter(
        "ingest_errors_total",
        "Dead letters by family; database also counts attempts to store that were tried again.",
        "error_type",
        {
            "validation": validation,
            "processing": processing,
            "database": database + metrics.retries[Retry.STORE],
        },
    )
    yield GaugeMetricFamily(
        "ingest_queue_depth",
        "Rows received and not committed yet.",
        levels.building_rows + levels.queue_rows,
    )
    yield GaugeMetricFamily(
        "ingest_rate_per_second",
        "Readings received per second over the last 10 seconds.",
        metrics.received_rate.per_second(),
    )
