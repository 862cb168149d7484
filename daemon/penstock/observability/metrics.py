"""Everything that the daemon counts, as plain attributes.

The message path adds to integers here and does nothing else: no lock, no label lookup, no metrics
library. `exposition` reads the same attributes when somebody scrapes. Both happen in the event
loop's thread, so a scrape sees every count between two steps, never within one.

Everything that is dropped, refused or tried again is counted under a label from a closed list. No
label ever holds a device or a topic.
"""

from enum import StrEnum

import msgspec

from penstock.clock import Clock
from penstock.errors import Reason, Refusal
from penstock.observability.histogram import Histogram
from penstock.observability.ledger import Ledger
from penstock.observability.rates import Rate

SECONDS_BOUNDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 3e2, 3.6e3,
)  # fmt: skip
STORE_SECONDS_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
ROWS_BOUNDS = (
    1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4, 2.5e4, 1e5, 1e6,
)  # fmt: skip


class SealCause(StrEnum):
    """Why a batch was sealed."""

    ROWS = "rows"
    """It reached `storage.batch_rows`."""
    BYTES = "bytes"
    """It reached `storage.batch_bytes`."""
    AGE = "age"
    """It was `storage.flush_interval_ms` old."""
    CONNECTION = "connection"
    """The MQTT connection changed, and packet identifiers with it."""
    CACHE = "cache"
    """The caches of topics and series were full and start anew."""
    STOP = "stop"
    """The daemon is shutting down."""


class Retry(StrEnum):
    """What was tried again."""

    MQTT_CONNECT = "mqtt_connect"
    """Connecting to the broker, after an attempt failed or a connection was lost."""
    DATABASE_CONNECT = "database_connect"
    """Opening a connection to the database."""
    STORE = "store"
    """Storing a batch: the connection broke, the server was unwell, or a timeout passed."""
    REPLAY = "replay"
    """Storing what was spooled, likewise."""


class SpoolFaultKind(StrEnum):
    """Why the spool did not do its work."""

    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    PERMISSION = "permission"
    """It may not be opened, or its folder is not there."""
    IO_ERROR = "io_error"
    """The disk failed, on an fsync for one."""
    DAMAGED = "damaged"
    """What the file holds is not what was written."""
    FOREIGN = "foreign"
    """The file is another program's, or another version's."""
    LOCKED = "locked"
    """Another program holds the file."""
    HUNG = "hung"
    """The disk did not answer in time."""
    OTHER = "other"


class IntakeCounts(msgspec.Struct):
    """What came from the broker, in messages."""

    messages_qos0: int = 0
    messages_qos1: int = 0
    payload_bytes: int = 0
    empty_messages: int = 0
    """Messages that were well-formed and carried no reading."""
    queued_readings: int = 0
    """Readings of the batches sealed."""


class StorageCounts(msgspec.Struct):
    """What went to the database, in batches, and what it refused."""

    staging_batches: int = 0
    """Batches that met a reading that was there already and took the path that skips duplicates."""
    shifted_readings: int = 0
    """Readings stored a little later, their series having another value at their time."""
    bisections: int = 0
    """Batches, or parts of one, cut in two to find a reading that the database refuses."""
    poison_readings: int = 0
    """Single readings that the database refused."""
    refusals: dict[Refusal, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Refusal, 0))
    """Attempts that failed for what a person has to see to."""


class SpoolCounts:
    """What went to the spool and came from it."""

    def __init__(self) -> None:
        self.appended_batches = 0
        self.appended_rows = 0
        """Rows on disk: readings and dead letters, as in every count here."""
        self.replayed_batches = 0
        self.replayed_rows = 0
        """Rows committed in the database out of the spool, those that were there already too."""
        self.dropped_batches = 0
        self.dropped_rows = 0
        """Rows given up for newer ones, where `spool.when_full` says so."""
        self.quarantined_batches = 0
        self.quarantined_rows = 0
        """Rows set aside because they could not be read any more."""
        self.salvages = 0
        """Damaged files moved aside."""
        self.lost_batches = 0
        self.lost_rows = 0
        """Rows that were in it before it was opened, and were not there then."""
        self.faults = dict.fromkeys(SpoolFaultKind, 0)
        self.commit_seconds = Histogram(STORE_SECONDS_BOUNDS)
        """From asking for a commit of the spool to its fsync; batches share one."""


class Metrics:
    """All counts of one daemon."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.started_seconds = clock.monotonic_seconds()
        self.ledger = Ledger()
        self.intake = IntakeCounts()
        self.storage = StorageCounts()
        self.spool = SpoolCounts()
        self.dead_letters = dict.fromkeys(Reason, 0)
        """Dead letters committed, by reason."""
        self.sealed = dict.fromkeys(SealCause, 0)
        self.retries = dict.fromkeys(Retry, 0)
        self.batch_rows = Histogram(ROWS_BOUNDS)
        """Readings of each batch stored."""
        self.store_seconds = Histogram(STORE_SECONDS_BOUNDS)
        """From a writer taking a batch to its commit, retries included."""
        self.receive_to_commit_seconds = Histogram(SECONDS_BOUNDS)
        """From receiving the first message of a batch to its commit; each message counts once."""
        self.publish_to_commit_seconds = Histogram(SECONDS_BOUNDS)
        """From a reading's timestamp, its own or that of its receipt, to its commit."""
        self.received_rate = Rate()
        self.stored_rate = Rate()
        self.dead_letter_rate = Rate()
        self.replay_rate = Rate()

    def tick(self) -> None:
        """Sample the totals that rates are made of; to be called about once a second."""
        now_seconds = self.clock.monotonic_seconds()
        totals = self.ledger.totals()
        self.received_rate.sample(now_seconds, totals.received)
        self.stored_rate.sample(now_seconds, totals.stored)
        self.dead_letter_rate.sample(now_seconds, totals.dead_lettered)
        self.replay_rate.sample(now_seconds, self.spool.replayed_rows)

    @property
    def uptime_seconds(self) -> float:
        """Since these counts began, on the monotonic clock."""
        return self.clock.monotonic_seconds() - self.started_seconds
