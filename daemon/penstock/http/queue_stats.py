"""How full the way to the database is: the body of `GET /api/v1/queue/stats`."""

import msgspec

from penstock.observability.levels import Levels
from penstock.observability.metrics import Metrics


class Depth(msgspec.Struct, frozen=True):
    """What is received and not committed yet; the batch being built counts in the rows alone."""

    rows: int
    batches: int
    bytes: int


class Bounds(msgspec.Struct, frozen=True):
    """Where the queue is full."""

    rows: int
    bytes: int


class Writers(msgspec.Struct, frozen=True):
    """Who takes from the queue."""

    configured: int
    busy: int


class Window(msgspec.Struct, frozen=True):
    """The part of the MQTT in-flight window that is in use, in messages."""

    unacknowledged: int
    receive_maximum: int
    paused: bool


class SpoolStats(msgspec.Struct, frozen=True):
    """What is on the disk and not committed yet."""

    state: str
    """`off`, `usable`, `full` or `unusable`."""
    batches: int
    rows: int
    bytes: int
    limit_bytes: int
    oldest_age_seconds: float


class Rates(msgspec.Struct, frozen=True):
    """Readings a second over the last ten."""

    received: float
    stored: float
    dead_lettered: float
    replayed: float
    """Rows out of the spool."""


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer."""

    depth: Depth
    bounds: Bounds
    in_flight_readings: int
    """Readings received and not committed: in the batch being built, queued, or with a writer."""
    oldest_age_seconds: float
    writers: Writers
    window: Window
    spool: SpoolStats
    rates_per_second: Rates


def queue_stats(levels: Levels, metrics: Metrics) -> QueueStats:
    """The answer for this moment."""
    return QueueStats(
        depth=Depth(
            rows=levels.building_rows + levels.queue_rows,
            batches=levels.queue_batches,
            bytes=levels.queue_bytes,
        ),
        bounds=Bounds(rows=levels.queue_rows_limit, bytes=levels.queue_bytes_limit),
        in_flight_readings=metrics.ledger.totals().in_flight,
        oldest_age_seconds=round(levels.oldest_age_seconds, 3),
        writers=Writers(configured=levels.writers, busy=levels.writers_busy),
        window=Window(
            unacknowledged=levels.unacknowledged_messages,
            receive_maximum=levels.receive_maximum,
            paused=levels.paused,
        ),
        spool=SpoolStats(
            state=levels.spool.state,
            batches=levels.spool.batches,
            rows=levels.spool.rows,
            bytes=levels.spool.size_bytes,
            limit_bytes=levels.spool.limit_bytes,
            oldest_age_seconds=round(levels.spool.oldest_age_seconds, 3),
        ),
        rates_per_second=Rates(
            received=round(metrics.received_rate.per_second(), 1),
            stored=round(metrics.stored_rate.per_second(), 1),
            dead_lettered=round(metrics.dead_letter_rate.per_second(), 1),
            replayed=round(metrics.replay_rate.per_second(), 1),
        ),
    )
