"""The charts of a record. Those over time share one x axis, so they can be compared by eye."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock_simulator.report import figures, scales
from penstock_simulator.report.charts import Chart, Line, Mark
from penstock_simulator.report.record import Record
from penstock_simulator.report.thinning import Reduce, mean, stride, thinned
from penstock_simulator.sampling import Column

_LOGARITHMIC_FROM = 50.0
"""How many times the least the greatest latency is for the axis to be logarithmic."""
_LEAST_MS = 0.1
_NEVER_ACKNOWLEDGED = ", and those of QoS 0 are never acknowledged."
_MEMORY_STEPS = tuple(1_048_576.0 * 2**power for power in range(24))


class _Course(NamedTuple):
    """A column over time, before it is drawn."""

    name: str
    tone: str
    column: Sequence[float | None]
    faint: bool = False


def throughput(record: Record) -> list[Chart]:
    """What happened in each second: as the simulator knows it, and as the daemon counts it."""
    timeline, samples = record.timeline, record.samples
    return _known(
        _over_time(
            record,
            key="throughput",
            title="Messages a second",
            note="Sent by the simulator, acknowledged by the broker, and committed in the"
            " database. Malformed messages become dead letters and are not among the committed"
            f"{_NEVER_ACKNOWLEDGED if _has_qos_0(record) else '.'}",
            at=timeline.at_seconds,
            courses=[
                _Course("published", "simulator", timeline.published),
                _Course("acknowledged", "broker", timeline.acknowledged),
                _Course("committed", "database", timeline.committed),
            ],
            written=figures.per_second,
            reduce=mean,
        ),
        _over_time(
            record,
            key="readings",
            title="Readings a second",
            note="As the daemon itself counts them.",
            at=samples.at_seconds,
            courses=[
                _Course("stored", "database", samples.stored_per_second),
                _Course("dead-lettered", "broker", samples.dead_lettered_per_second),
            ],
            written=figures.per_second,
            reduce=mean,
        ),
    )


def latency(record: Record) -> list[Chart]:
    """The distribution, and how it went over time."""
    timeline = record.timeline
    return _known(
        _distribution(record),
        _over_time(
            record,
            key="latency",
            title="Latency over time",
            note="Of the messages that were due in each second.",
            at=timeline.at_seconds,
            courses=[
                _Course("acknowledged, p50", "broker", timeline.acknowledged_p50_ms, faint=True),
                _Course("acknowledged, p99", "broker", timeline.acknowledged_p99_ms),
                _Course("committed, p50", "database", timeline.committed_p50_ms, faint=True),
                _Course("committed, p99", "database", timeline.committed_p99_ms),
            ],
            written=figures.milliseconds,
            reduce=max,
            scale=_latency_scale,
        ),
    )


def depth(record: Record) -> list[Chart]:
    """What waits in the daemon, and on its disk."""
    samples = record.samples
    return _known(
        _over_time(
            record,
            key="queue",
            title="Queue",
            note="Rows that wait in the daemon's memory to be committed, and messages whose"
            " PUBACK it withholds until then.",
            at=samples.at_seconds,
            courses=[
                _Course("rows in the queue", "daemon", samples.queue_rows),
                _Course("messages unacknowledged", "broker", samples.unacknowledged),
            ],
            written=figures.count,
            reduce=max,
        ),
        _over_time(
            record,
            key="spool",
            title="Spool",
            note="Rows on the daemon's disk, for while the database does not take them.",
            at=samples.at_seconds,
            courses=[_Course("rows in the spool", "daemon", _if_any(samples.spool_rows))],
            written=figures.count,
            reduce=max,
        ),
    )


def resources(record: Record) -> list[Chart]:
    """Processor and memory of every part that could be looked at."""
    samples = record.samples
    return _known(
        _over_time(
            record,
            key="cpu",
            title="Processor",
            note="Share of one core; all backends of the database together.",
            at=samples.at_seconds,
            courses=[
                _Course("broker", "broker", samples.broker_cpu),
                _Course("daemon", "daemon", samples.daemon_cpu),
                _Course("database", "database", samples.database_cpu),
                _Course("simulator", "simulator", samples.simulator_cpu),
            ],
            written=figures.cores,
            reduce=mean,
        ),
        _over_time(
            record,
            key="memory",
            title="Memory",
            note="Resident; what the database's processes share is counted once.",
            at=samples.at_seconds,
            courses=[
                _Course("broker", "broker", samples.broker_memory_bytes),
                _Course("daemon", "daemon", samples.daemon_memory_bytes),
                _Course("database", "database", samples.database_memory_bytes),
                _Course("simulator", "simulator", samples.simulator_memory_bytes),
            ],
            written=figures.mebibytes,
            reduce=max,
            scale=_memory_scale,
        ),
    )


ScaleOf = Callable[[Sequence[float], figures.Written], scales.Scale]


def _linear(known: Sequence[float], written: figures.Written) -> scales.Scale:
    return scales.linear(max(known), written)


def _memory_scale(known: Sequence[float], written: figures.Written) -> scales.Scale:
    return scales.linear(max(known), written, steps=_MEMORY_STEPS)


def _latency_scale(known: Sequence[float], written: figures.Written) -> scales.Scale:
    least, most = max(_LEAST_MS, min(known)), max(known)
    if most < _LOGARITHMIC_FROM * least:
        return scales.linear(most, written)
    return scales.logarithmic(least, most, written)


def _over_time(
    record: Record,
    *,
    key: str,
    title: str,
    note: str,
    at: Sequence[float],
    courses: Sequence[_Course],
    written: figures.Written,
    reduce: Reduce,
    scale: ScaleOf = _linear,
) -> Chart | None:
    courses = [course for course in courses if len(course.column)]
    every = stride(len(at))
    lines = [Line(c.name, c.tone, thinned(c.column, every, reduce), faint=c.faint) for c in courses]
    known = _values([line.values for line in lines])
    if not known:
        return None
    if every > 1:
        note += f" Each point stands for {every} seconds."
    return Chart(
        key=key,
        title=title,
        note=note,
        x_name="time",
        xs=[x for x in thinned(at, every, max) if x is not None],
        x_scale=scales.until(_last_second(record), figures.clock, steps=scales.TIME_STEPS),
        x_written=figures.clock,
        y_scale=scale(known, written),
        y_written=written,
        lines=lines,
        marks=[Mark(event.at_seconds, event.text) for event in record.events],
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
    known = _values([line.values for line in lines])
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
        y_scale=_latency_scale(known, figures.milliseconds),
        y_written=figures.milliseconds,
        lines=lines,
    )


def _has_qos_0(record: Record) -> bool:
    return any(group.fleet["qos"] == 0 for group in record.groups)


def _if_any(column: Column) -> Column:
    """The column, or none of it when all of it is 0."""
    return column if any(column) else []


def _last_second(record: Record) -> float:
    ends = (record.timeline.at_seconds, record.samples.at_seconds)
    events = [event.at_seconds for event in record.events]
    return max([*(times[-1] for times in ends if times), *events, 1.0])


def _values(columns: Sequence[Sequence[float | None]] | Sequence[Column]) -> list[float]:
    return [value for column in columns for value in column if value is not None]


def _known(*charts: Chart | None) -> list[Chart]:
    return [chart for chart in charts if chart is not None]
