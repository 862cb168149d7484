"""Families of errors and the closed list of reasons for a dead letter.

Every boundary turns what it catches into one of these families, so that the code above it decides
by family and never by library:

* `ConfigError`: the operator's to mend; the process does not start.
* `Rejected`: one message is bad; it becomes a dead letter and nothing else is harmed.
* `Retryable`: the outside is unwell; the same work may succeed later.
* `Refused`: so, too, but not before a person has done something about it.
* `PoisonError`: the database refuses the data of a batch; the batch is bisected.
* `FatalError`: going on would do harm or can never succeed.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message or a single reading became a dead letter; the values of a metric label."""

    BAD_TOPIC = "bad_topic"
    """A level of the topic is not a valid name, or the topic is not valid UTF-8 (MQTT 5 §1.5.4)."""
    UNKNOWN_ROUTE = "unknown_route"
    """No configured route matches the topic."""
    PAYLOAD_TOO_LARGE = "payload_too_large"
    """The payload is longer than `limits.payload_bytes`."""
    MALFORMED = "malformed"
    """The payload is not what the route's format says: not JSON, or JSON of another shape."""
    BAD_ENCODING = "bad_encoding"
    """The payload is not valid UTF-8, or names half of a surrogate pair."""
    TOO_DEEP = "too_deep"
    """Objects or arrays nest deeper than `limits.depth`."""
    TOO_MANY_METRICS = "too_many_metrics"
    """The message carries more readings than `limits.metrics`."""
    BAD_NAME = "bad_name"
    """A metric name is empty, too long, or holds a forbidden character."""
    BAD_VALUE = "bad_value"
    """A value is not a finite number, boolean or storable string."""
    BAD_TIMESTAMP = "bad_timestamp"
    """A timestamp is neither RFC 3339 with an offset nor an epoch number."""
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    """A timestamp is further ahead or back than the route allows."""
    TENANT_MISMATCH = "tenant_mismatch"
    """The payload names another tenant than the topic."""
    DEVICE_MISMATCH = "device_mismatch"
    """The payload names another device than the topic."""
    UNREGISTERED_DEVICE = "unregistered_device"
    """The device is not registered and `registry.auto_register` is off."""
    STORAGE_ERROR = "storage_error"
    """The database refused this one reading; its SQLSTATE is kept."""
    INTERNAL_ERROR = "internal_error"
    """Penstock itself failed on this message: a bug, logged with its traceback."""


class Refusal(StrEnum):
    """What a person has to see to before the database takes batches; values of a metric label."""

    LOGIN = "login"
    """The user or the password is not accepted."""
    DATABASE = "database"
    """The database does not exist."""
    PERMISSION = "permission"
    """The role lacks a privilege."""
    SCHEMA = "schema"
    """The schema is not the one that this version writes to."""
    READ_ONLY = "read_only"
    """The database takes no writes at all."""
    DISK_FULL = "disk_full"
    """The server's disk is full."""
    UNSUPPORTED = "unsupported"
    """The server does not do what it is asked, with any reading."""
    SERVER_FAULT = "server_fault"
    """The server reports a fault of its own or in its files."""
    DEAD_LETTERS = "dead_letters"
    """It refuses what should become a dead letter."""
    UNKNOWN = "unknown"
    """It refuses for a reason that Penstock does not know."""


class PenstockError(Exception):
    """Base of every error that Penstock raises on purpose."""


class ConfigError(PenstockError):
    """The configuration is unusable; the text names every fault with its path."""


class Rejected(PenstockError):  # noqa: N818 - a verdict about a message, not a failure of the program
    """A message is refused with a reason from the closed list; `detail` says what and where."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Retryable(PenstockError):  # noqa: N818 - a family, read as "is retryable"
    """The outside did not do the work now; nothing was lost and the same call may succeed later."""


class Refused(Retryable):
    """The outside will not do the work until a person acts; the text says how.

    It is tried again all the same, so that mending it is enough and nobody restarts anything.
    """

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


class PoisonError(PenstockError):
    """The database refuses the data it was given; some row of it is poison."""

    def __init__(self, sqlstate: str, detail: str) -> None:
        super().__init__(sqlstate, detail)
        self.sqlstate = sqlstate
        self.detail = detail


class FatalError(PenstockError):
    """The process cannot go on; the text says what the operator has to do."""
