"""The charts of a record. Those over time share one x axis, so they can be compared by eye."""

from penstock_simulator.report import figures, scales
from penstock_simulator.report.charts import Chart, Line
from penstock_simulator.report.courses import (
    Course,
    latency_scale,
    memory_scale,
    over_time,
    values,
)
from penstock_simulator.report.record import Record
from penstock_simulator.report.thinning import mean
from penstock_simulator.sampling import Column

_NEVER_ACKNOWLEDGED = ", and those of QoS 0 are never acknowledged."


def throughput(record: Record) -> list[Chart]:
    """What happened in each second: as the simulator knows it, and as the daemon counts it."""
    timeline, samples = record.timeline, record.samples
    return _known(
        over_time(
            record,
            key="throughput",
            title="Messages a second",
            note="Sent by the simulator, acknowledged by the broker, and committed in the"
            " database. Malformed messages become dead letters and are not among the committed"
            f"{_NEVER_ACKNOWLEDGED if _has_qos_0(record) else '.'}",
            at=timeline.at_seconds,
            courses=[
                Course("published", "simulator", timeline.published, "broad"),
                Course("acknowledged", "broker", timeline.acknowledged),
                Course("committed", "database", timeline.committed),
            ],
            written=figures.per_second,
            reduce=mean,
        ),
        over_time(
            record,
            key="readings",
            title="Readings a second",
            note="As the daemon itself counts them.",
            at=samples.at_seconds,
            courses=[
                Course("stored", "database", samples.stored_per_second),
                Course("dead-lettered", "broker", samples.dead_lettered_per_second),
            ],
            written=figures.per_second,
            reduce=mean,
        ),
    )


def connections(record: Record) -> list[Chart]:
    """How many there were, where that has changed while messages were published."""
    samples = record.samples
    at = [second for second in samples.at_seconds if second <= record.seconds]
    column = samples.connections[: len(at)]
    if len(set(column)) <= 1:
        return []
    return _known(
        over_time(
            record,
            key="connections",
            title="Connections of the simulator",
            note="Those that the broker has let in, while messages were published.",
            at=at,
            courses=[Course("connections", "simulator", column)],
            written=figures.count,
            reduce=min,
        )
    )


def latency(record: Record) -> list[Chart]:
    """The distribution, and how it went over time."""
    timeline = record.timeline
    return _known(
        _distribution(record),
        over_time(
            record,
            key="latency",
            title="Latency over time",
            note="Of the messages that were due in each second.",
            at=timeline.at_seconds,
            courses=[
                Course("acknowledged, p50", "broker", timeline.acknowledged_p50_ms, "faint"),
                Course("acknowledged, p99", "broker", timeline.acknowledged_p99_ms),
                Course("committed, p50", "database", timeline.committed_p50_ms, "faint"),
                Course("committed, p99", "database", timeline.committed_p99_ms),
            ],
            written=figures.milliseconds,
            reduce=max,
            scale=latency_scale,
        ),
    )


def depth(record: Record) -> list[Chart]:
    """What waits in the daemon, and on its disk."""
    samples = record.samples
    return _known(
        over_time(
            record,
            key="queue",
            title="Queue",
            note="Rows that wait in the daemon's memory to be committed, and messages whose"
            " PUBACK it withholds until then.",
            at=samples.at_seconds,
            courses=[
                Course("rows in the queue", "daemon", samples.queue_rows),
                Course("messages unacknowledged", "broker", samples.unacknowledged),
            ],
            written=figures.count,
            reduce=max,
        ),
        over_time(
            record,
            key="spool",
            title="Spool",
            note="Rows on the daemon's disk, for while the database does not take them.",
            at=samples.at_seconds,
            courses=[Course("rows in the spool", "daemon", _if_any(samples.spool_rows))],
            written=figures.count,
            reduce=max,
        ),
    )


def resources(record: Record) -> list[Chart]:
    """Processor and memory of every part that could be looked at."""
    samples = record.samples
    return _known(
        over_time(
            record,
            key="cpu",
            title="Processor",
            note="Share of one core; all backends of the database together.",
            at=samples.at_seconds,
            courses=[
                Course("broker", "broker", samples.broker_cpu),
                Course("daemon", "daemon", samples.daemon_cpu),
                Course("database", "database", samples.database_cpu),
                Course("simulator", "simulator", samples.simulator_cpu),
            ],
            written=figures.cores,
            reduce=mean,
        ),
        over_time(
            record,
            key="memory",
            title="Memory",
            note="Resident; what the database's processes share is counted once.",
            at=samples.at_seconds,
            courses=[
                Course("broker", "broker", samples.broker_memory_bytes),
                Course("daemon", "daemon", samples.daemon_memory_bytes),
                Course("database", "database", samples.database_memory_bytes),
                Course("simulator", "simulator", samples.simulator_memory_bytes),
            ],
            written=figures.mebibytes,
            reduce=max,
            scale=memory_scale,
        ),
    )


def _distribution(record: Record) -> Chart | None:
    curve, latencies = record.curve, record.latencies
    lines = [
        Line(name, tone, values)
        for name, tone, values in (
            ("published to acknowledged", "broker", curve.acknowledged_ms),
            ("published to committed", "database", curve.committed_ms),
        )
        if values
    ]
    known = values([line.values for line in lines])
    if not known:
        return None
    return Chart(
        key="percentiles",
        title="Latency by percentile",
        note="How long the given share of the messages took at most, from when each was due to be"
        " sent.",
        x_name="share",
        xs=curve.shares,
        x_scale=scales.nines(max(latencies.acknowledged.count, latencies.committed.count)),
        x_written=figures.percentile,
        y_scale=latency_scale(known, figures.milliseconds),
        y_written=figures.milliseconds,
        lines=lines,
    )


def _has_qos_0(record: Record) -> bool:
    return any(group.fleet["qos"] == 0 for group in record.groups)


def _if_any(column: Column) -> Column:
    """The column, or none of it when all of it is 0."""
    return column if any(column) else []


def _known(*charts: Chart | None) -> list[Chart]:
    return [chart for chart in charts if chart is not None]
