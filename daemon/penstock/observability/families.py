"""Counts as the metric families of prometheus_client."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from penstock.observability.histogram import Histogram

Label = TypeVar("Label", bound=str)
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | InfoMetricFamily


def counter(name: str, text: str, label: str, values: Mapping[Label, int]) -> Family:
    """A counter with one label, for all values of a closed list."""
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([str(value)], count)
    return family


def gauges(prefix: str, *rows: tuple[str, str, float]) -> Iterator[Family]:
    """A gauge without labels for each name, help and value, called `<prefix>_<name>`."""
    for name, text, value in rows:
        yield GaugeMetricFamily(f"{prefix}_{name}", text, value)


def histogram(name: str, text: str, values: Histogram) -> Family:
    """A histogram as it is now."""
    return HistogramMetricFamily(name, text, _cumulative(values), values.total)


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Buckets as Prometheus counts them: each holds all values up to its bound."""
    buckets, running = [], 0
    bounds = (*(str(bound) for bound in histogram.bounds), "+Inf")
    for bound, count in zip(bounds, histogram.counts, strict=True):
        running += count
        buckets.append((bound, float(running)))
    return buckets


def printable(tenant: str) -> str:
    """The tenant with half surrogate pairs replaced, which the text format cannot carry."""
    return tenant.encode("utf-8", "replace").decode("utf-8")
