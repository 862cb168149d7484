"""How the stages stand at this moment, as one value.

The stages know their own state and nothing of metrics or HTTP; the application reads it off them
into `Levels` whenever somebody asks. Metrics, health and statistics therefore never disagree.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

Phase = Literal["starting", "running", "stopping"]


class SpoolLevels(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of the spool."""

    state: Literal["off", "usable", "full", "unusable"] = "off"
    """`off` where none is configured."""
    detail: str = ""
    """Why it is full or unusable, and what to do, in words for an operator."""
    batches: int = 0
    rows: int = 0
    """Readings and dead letters on the disk that are not committed yet."""
    size_bytes: int = 0
    limit_bytes: int = 0
    oldest_age_seconds: float = 0.0
    """Since the oldest message in it was received; 0 when there is none."""


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of every stage."""

    phase: Phase
    """`running` from the first subscription after migration until shutdown begins."""
    mqtt_connected: bool
    """Whether the broker has accepted our connection and our subscriptions."""
    mqtt_detail: str = ""
    """Why not, in words for an operator."""
    mqtt_connections: int
    """Connections that the broker accepted since the start."""
    mqtt_sessions_lost: int
    """Reconnects on which the broker no longer had our session."""
    receive_maximum: int
    """In-flight window in force."""
    unacknowledged_messages: int
    """Messages of QoS 1 received whose PUBACK is withheld: the part of the window in use."""
    paused: bool
    """Whether reading from the broker is paused because the queue is full."""
    database_connected: bool
    """Whether it answers and takes batches, as far as is known."""
    database_detail: str = ""
    """Why not, in words for an operator."""
    building_rows: int
    """Readings and dead letters in the batch being built."""
    queue_batches: int
    """Sealed batches not committed yet, those that writers hold included."""
    queue_rows: int
    queue_rows_limit: int
    queue_bytes: int
    queue_bytes_limit: int
    writers: int
    writers_busy: int
    oldest_age_seconds: float
    """Since the oldest message that is not committed yet was received; 0 when there is none."""
    series_cached: int
    spool: SpoolLevels = SpoolLevels()


LevelsNow = Callable[[], Levels]
"""Reads the present levels; cheap, synchronous, and never raises."""
