"""The metrics of the spool; all 0 where there is none."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily

from penstock.observability.families import Family, counter, gauges, histogram
from penstock.observability.levels import SpoolLevels
from penstock.observability.metrics import Metrics


def spool_families(metrics: Metrics, levels: SpoolLevels) -> Iterator[Family]:
    """The families for this moment."""
    counts = metrics.spool
    for name, text, value in (
        ("appended_batches", "Batches put into the spool.", counts.appended_batches),
        ("appended_rows", "Their rows.", counts.appended_rows),
        ("replayed_batches", "Batches of the spool committed.", counts.replayed_batches),
        ("replayed_rows", "Their rows, those included that were there.", counts.replayed_rows),
        ("dropped_batches", "Batches dropped from a full spool.", counts.dropped_batches),
        ("dropped_rows", "Their rows.", counts.dropped_rows),
        ("quarantined_batches", "Damaged batches set aside.", counts.quarantined_batches),
        ("quarantined_rows", "Their rows.", counts.quarantined_rows),
        ("salvages", "Damaged spool files moved aside.", counts.salvages),
        ("lost_batches", "Batches missing when the spool was opened.", counts.lost_batches),
        ("lost_rows", "Their rows.", counts.lost_rows),
    ):
        yield CounterMetricFamily(f"penstock_spool_{name}_total", text, value)
    yield counter(
        "penstock_spool_faults_total", "Why the spool did not do its work.", "fault", counts.faults
    )
    yield histogram(
        "penstock_spool_commit_seconds",
        "Commits of the spool, each with its fsync.",
        counts.commit_seconds,
    )
    yield from gauges(
        "penstock_spool",
        ("usable", "1 while the spool takes batches.", float(levels.state == "usable")),
        ("batches", "Batches in the spool.", levels.batches),
        ("rows", "Their rows.", levels.rows),
        ("bytes", "Their bytes.", levels.size_bytes),
        ("bytes_limit", "Bound of penstock_spool_bytes.", levels.limit_bytes),
        (
            "oldest_seconds",
            "Age of the oldest message in the spool.",
            levels.oldest_age_seconds,
        ),
        (
            "replay_rows_per_second",
            "Rows out of the spool per second, over the last 10 seconds.",
            metrics.replay_rate.per_second(),
        ),
    )
