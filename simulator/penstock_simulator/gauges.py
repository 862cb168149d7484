"""What the daemon's metrics say, read from the text that Prometheus would read.

This is for people who watch a run. The account never rests on it: a daemon that loses a message
may well miscount it too.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_LATENCY = "penstock_publish_to_commit_seconds_bucket"


class Gauges(NamedTuple):
    """Some metrics at one moment; totals are since the daemon started."""

    received: int = 0
    """Messages."""
    stored: int = 0
    """Readings."""
    queue_rows: int = 0
    queue_rows_limit: int = 0
    unacknowledged: int = 0
    """Messages whose PUBACK is withheld."""
    receive_maximum: int = 0
    dead_letters: Mapping[str, int] = {}
    """By reason; none that is 0."""
    latency_buckets: Mapping[float, float] = {}
    """Readings committed within so many seconds of their timestamps."""
    dead_lettered: int = 0
    """Readings."""
    spool_rows: int = 0
    spool_bytes: int = 0
    cpu_seconds: float | None = None
    """Processor time of the daemon; `None` where it does not say."""
    resident_bytes: int | None = None


def read_gauges(exposition: str) -> Gauges:
    """Read a Prometheus text exposition; metrics that are missing count as 0, or are None."""
    totals = totals_of(exposition)
    letters: dict[str, int] = {}
    buckets: dict[float, float] = {}
    for name, label, value in _samples(exposition):
        if name == "penstock_dead_letters_total" and value:
            letters[label] = int(value)
        elif name == _LATENCY:
            buckets[float(label)] = value
    resident = totals.get("process_resident_memory_bytes")
    return Gauges(
        received=int(totals["penstock_messages_received_total"]),
        stored=int(totals["penstock_readings_stored_total"]),
        queue_rows=int(totals["penstock_queue_rows"] + totals["penstock_building_rows"]),
        queue_rows_limit=int(totals["penstock_queue_rows_limit"]),
        unacknowledged=int(totals["penstock_mqtt_unacknowledged_messages"]),
        receive_maximum=int(totals["penstock_mqtt_receive_maximum"]),
        dead_letters=letters,
        latency_buckets=buckets,
        dead_lettered=int(totals["penstock_readings_dead_lettered_total"]),
        spool_rows=int(totals["penstock_spool_rows"]),
        spool_bytes=int(totals["penstock_spool_bytes"]),
        cpu_seconds=totals.get("process_cpu_seconds_total"),
        resident_bytes=None if resident is None else int(resident),
    )


def totals_of(exposition: str) -> defaultdict[str, float]:
    """The sum of each metric's samples, by its name; 0 for those that are missing."""
    totals: defaultdict[str, float] = defaultdict(float)
    for name, _, value in _samples(exposition):
        totals[name] += value
    return totals


def latency_between(before: Gauges, after: Gauges, share: float) -> float | None:
    """The latency in seconds that `share` of the readings committed in between stayed within.

    It is a bound of the histogram, so that it is true, though the latency may be less; `None`
    where nothing was committed, or where it is beyond the last bound.
    """
    bounds = sorted(after.latency_buckets)
    counts = [after.latency_buckets[b] - before.latency_buckets.get(b, 0.0) for b in bounds]
    if not counts or counts[-1] <= 0:
        return None
    wanted = share * counts[-1]
    return next((b for b, n in zip(bounds[:-1], counts[:-1], strict=True) if n >= wanted), None)


def _samples(exposition: str) -> Iterator[tuple[str, str, float]]:
    """Name, value of the first label, and value of each sample."""
    for line in exposition.splitlines():
        if line and not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            name, _, labels = sample.partition("{")
            yield name, labels.partition('"')[2].partition('"')[0], float(value)
