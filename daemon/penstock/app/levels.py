"""Reads off the stages how they stand now, for health, statistics and metrics."""

from penstock.app.flow import Flow
from penstock.observability.levels import Levels, Phase, SpoolLevels
from penstock.settings.tree import Storage


def levels_of(flow: Flow, storage: Storage, phase: Phase, database_detail: str) -> Levels:
    """All of them; `database_detail` is why the database stores nothing, empty when it does."""
    source, queue = flow.source.status, flow.queue
    return Levels(
        phase=phase,
        mqtt_connected=source.state == "subscribed",
        mqtt_detail=source.detail,
        mqtt_connections=source.connection,
        mqtt_sessions_lost=flow.source.traffic.sessions_lost,
        receive_maximum=source.receive_maximum,
        unacknowledged_messages=flow.unacknowledged_messages,
        paused=flow.restraint.paused,
        database_connected=not database_detail,
        database_detail=database_detail,
        building_rows=flow.intake.building_rows,
        queue_batches=len(queue.unsettled),
        queue_rows=queue.rows,
        queue_rows_limit=storage.queue_rows,
        queue_bytes=queue.size_bytes,
        queue_bytes_limit=storage.queue_bytes,
        writers=len(flow.writers),
        writers_busy=sum(writer.busy for writer in flow.writers),
        oldest_age_seconds=flow.oldest_age_seconds(),
        series_cached=len(flow.topics.index),
        spool=_spool_levels(flow),
    )


def _spool_levels(flow: Flow) -> SpoolLevels:
    spool = flow.spool
    if spool is None:
        return SpoolLevels()
    status, standing = spool.status, spool.standing
    return SpoolLevels(
        state=status.state,
        detail=status.detail,
        batches=standing.batches,
        rows=standing.rows,
        size_bytes=standing.size_bytes,
        limit_bytes=spool.max_bytes,
        oldest_age_seconds=flow.spool_age_seconds(),
    )
