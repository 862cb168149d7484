"""Every metric that Prometheus sees: its name, its help, and where its value comes from.

Nothing is kept here; each scrape reads `Metrics` and `Levels` as they are. The registry is private,
so two daemons in one process (as in tests) do not meet. `docs/metrics.md` lists the same names, and
a test keeps the two alike. A counter never goes back, so none is a difference of columns that
settle at different times.
"""

import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from penstock import __version__
from penstock.observability.families import Family, counter, gauges, histogram, printable
from penstock.observability.ledger import Account
from penstock.observability.levels import Levels, LevelsNow
from penstock.observability.metrics import Metrics
from penstock.observability.predecessor import predecessor_families
from penstock.observability.spool_families import spool_families

_TENANT_COUNTERS = (
    ("received", "Readings received from the broker; an undecodable message counts as one."),
    ("stored", "Readings committed in the database."),
    ("duplicate", "Readings that were in the database already."),
    ("dead_lettered", "Readings and undecodable messages committed as dead letters."),
    ("shed", "Readings given up: of QoS 0 while all was full, or lost from the spool."),
)
_TENANT_GAUGES = (
    ("in_flight", "Readings received and in memory, neither committed nor on the local disk."),
    ("spooled", "Readings on the local disk, not committed yet."),
)


class Exposition:
    """What `GET /metrics` answers."""

    def __init__(self, metrics: Metrics, levels: LevelsNow) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_DaemonCollector(metrics, levels))
        ProcessCollector(registry=self._registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type, in the newest format that an `Accept` header admits."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it raises on a version that is not numbers
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type


class _DaemonCollector(Collector):
    """Turns counts and levels into metric families."""

    def __init__(self, metrics: Metrics, levels: LevelsNow) -> None:
        self._metrics = metrics
        self._levels = levels

    def collect(self) -> Iterator[Family]:
        metrics, levels = self._metrics, self._levels()
        yield _build_info()
        yield from _tenant_families(metrics.ledger.accounts)
        yield from _intake_families(metrics)
        yield from _storage_families(metrics)
        yield from _level_families(levels)
        yield from spool_families(metrics, levels.spool)
        yield from predecessor_families(metrics, levels)


def _build_info() -> Family:
    info = {"version": __version__, "python": platform.python_version()}
    return InfoMetricFamily("penstock_build", "Version of the daemon.", value=info)


def _tenant_families(accounts: dict[str, Account]) -> Iterator[Family]:
    labels = [(printable(tenant), account) for tenant, account in accounts.items()]
    for column, text in _TENANT_COUNTERS:
        name = f"penstock_readings_{column}_total"
        counter = CounterMetricFamily(name, text, labels=["tenant"])
        counter.samples.extend(
            Sample(name, {"tenant": label}, getattr(account, column)) for label, account in labels
        )
        yield counter
    for column, text in (
        *_TENANT_GAUGES,
        ("imbalance", "Readings received that nothing accounts for. Anything but 0 is a defect."),
    ):
        name = f"penstock_readings_{column}"
        gauge = GaugeMetricFamily(name, text, labels=["tenant"])
        gauge.samples.extend(
            Sample(name, {"tenant": label}, getattr(account, column)) for label, account in labels
        )
        yield gauge


def _intake_families(metrics: Metrics) -> Iterator[Family]:
    intake = metrics.intake
    yield counter(
        "penstock_messages_received_total",
        "Messages received from the broker.",
        "qos",
        {"0": intake.messages_qos0, "1": intake.messages_qos1},
    )
    yield CounterMetricFamily(
        "penstock_payload_bytes_total", "Bytes of payload received.", intake.payload_bytes
    )
    yield CounterMetricFamily(
        "penstock_empty_messages_total",
        "Messages that were well-formed and carried no reading.",
        intake.empty_messages,
    )
    yield counter(
        "penstock_dead_letters_total", "Dead letters committed.", "reason", metrics.dead_letters
    )
    yield counter("penstock_batches_sealed_total", "Batches sealed.", "cause", metrics.sealed)


def _storage_families(metrics: Metrics) -> Iterator[Family]:
    storage = metrics.storage
    yield counter("penstock_retries_total", "What was tried again.", "operation", metrics.retries)
    yield CounterMetricFamily(
        "penstock_staging_batches_total",
        "Batches that met a duplicate and took the slower path that skips duplicates.",
        storage.staging_batches,
    )
    yield CounterMetricFamily(
        "penstock_readings_shifted_total",
        "Readings stored a little later, their series having another value at their time.",
        storage.shifted_readings,
    )
    yield CounterMetricFamily(
        "penstock_bisections_total",
        "Batches, or parts of one, cut in two to find a reading that the database refuses.",
        storage.bisections,
    )
    yield CounterMetricFamily(
        "penstock_poison_readings_total",
        "Single readings that the database refused.",
        storage.poison_readings,
    )
    yield counter(
        "penstock_database_refusals_total",
        "Attempts that failed for what a person has to see to.",
        "cause",
        storage.refusals,
    )
    yield histogram("penstock_batch_rows", "Readings of each batch stored.", metrics.batch_rows)
    yield histogram(
        "penstock_batch_store_seconds",
        "From a writer taking a batch to its commit, retries included.",
        metrics.store_seconds,
    )
    yield histogram(
        "penstock_receive_to_commit_seconds",
        "From receiving the first message of a batch to its commit, for each message.",
        metrics.receive_to_commit_seconds,
    )
    yield histogram(
        "penstock_publish_to_commit_seconds",
        "From a reading's own timestamp to its commit.",
        metrics.publish_to_commit_seconds,
    )


def _level_families(levels: Levels) -> Iterator[Family]:
    yield CounterMetricFamily(
        "penstock_mqtt_connections_total",
        "Connections that the broker accepted; all but the first are reconnects.",
        levels.mqtt_connections,
    )
    yield CounterMetricFamily(
        "penstock_mqtt_sessions_lost_total",
        "Reconnects on which the broker had dropped our session and what waited in it.",
        levels.mqtt_sessions_lost,
    )
    yield from gauges(
        "penstock",
        ("mqtt_connected", "1 while connected and subscribed.", levels.mqtt_connected),
        ("mqtt_paused", "1 while the broker is held back, the queue being full.", levels.paused),
        ("mqtt_receive_maximum", "In-flight window in force, in messages.", levels.receive_maximum),
        (
            "mqtt_unacknowledged_messages",
            "Messages of QoS 1 received whose PUBACK is withheld.",
            levels.unacknowledged_messages,
        ),
        (
            "database_connected",
            "1 while the database answers and takes batches.",
            levels.database_connected,
        ),
        ("building_rows", "Rows in the batch being built.", levels.building_rows),
        ("queue_batches", "Sealed batches not committed yet.", levels.queue_batches),
        ("queue_rows", "Rows of the batches not committed yet.", levels.queue_rows),
        ("queue_rows_limit", "Bound of penstock_queue_rows.", levels.queue_rows_limit),
        ("queue_bytes", "Bytes of the batches not committed yet.", levels.queue_bytes),
        ("queue_bytes_limit", "Bound of penstock_queue_bytes.", levels.queue_bytes_limit),
        ("writers", "Writers configured.", levels.writers),
        ("writers_busy", "Writers that hold a batch.", levels.writers_busy),
        (
            "oldest_uncommitted_seconds",
            "Age of the oldest message received and not committed.",
            levels.oldest_age_seconds,
        ),
        ("series_cached", "Series known in memory.", levels.series_cached),
    )
