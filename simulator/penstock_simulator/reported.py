"""What of a device's metrics a payload can carry.

Payloads of a single value have no place for a time, so nothing in them would tell one reading from
another: a database that holds one of two equal values has lost a reading, and nobody could say
which. Such values end with the number of the reading instead. Metrics that leave no room for it,
because a double is exact to 15 digits only, are not published in these shapes; nor are texts and
booleans.
"""

from functools import cache
from typing import Literal

from penstock_simulator.devices import DeviceType, Metric, metrics_of
from penstock_simulator.forms import NumberForm
from penstock_simulator.signals import NUMBERED, NUMBERED_DIGITS, Numbered

Shape = Literal["envelope", "detailed", "list", "readings", "flat", "scalar", "quoted"]
"""How readings are written; see `shapes`."""

UNTIMED: frozenset[Shape] = frozenset({"scalar", "quoted"})
"""The shapes of payloads that are a single value."""

_EXACT = 2**53
"""Integers below are exact as doubles."""


@cache
def reported_metrics(kind: DeviceType, count: int, shape: Shape) -> tuple[Metric, ...]:
    """The first `count` metrics of a type, or all when it is 0, as far as the shape takes them."""
    metrics = metrics_of(kind, count)
    if shape not in UNTIMED:
        return metrics
    padded = shape == "scalar"
    return tuple(_numbered(m) for m in metrics if _can_be_numbered(m, padded=padded))


def _can_be_numbered(metric: Metric, *, padded: bool) -> bool:
    """Whether there is room; in quotes, Penstock takes a number that is padded for a text."""
    signal = metric.signal
    if metric.words or metric.boolean or max(signal.high + 1, -signal.low) * NUMBERED >= _EXACT:
        return False
    form = _numbered(metric).form
    return padded or not (isinstance(form, NumberForm) and form.padded)


def _numbered(metric: Metric) -> Metric:
    decimals = metric.decimals + NUMBERED_DIGITS
    return metric._replace(signal=Numbered(metric.signal), decimals=decimals)
