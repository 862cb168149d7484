"""Levels of a daemon that is well, to be made unwell by a test."""

from typing import Any

import msgspec

from penstock.observability.levels import Levels

WELL = Levels(
    phase="running",
    mqtt_connected=True,
    mqtt_connections=1,
    mqtt_sessions_lost=0,
    receive_maximum=20_000,
    unacknowledged_messages=7,
    paused=False,
    database_connected=True,
    building_rows=30,
    queue_batches=2,
    queue_rows=10_000,
    queue_rows_limit=100_000,
    queue_bytes=123_456,
    queue_bytes_limit=67_108_864,
    writers=2,
    writers_busy=1,
    oldest_age_seconds=0.25,
    series_cached=360,
)


def levels_with(**changes: Any) -> Levels:
    return msgspec.structs.replace(WELL, **changes)
