"""How readings are written: the payload shapes, as templates with holes for what changes.

| shape | payload |
| --- | --- |
| `envelope` | `{"ts": …, "metrics": {"flow": 3.5}}` |
| `detailed` | the same, with `{"value": 3.5, "quality": 192, "unit": "bar"}` for each number |
| `list` | `[envelope, …]` |
| `readings` | `{"readings": [envelope, …]}` |
| `flat` | `{"last_seen": …, "flow": 3.5, "motor": {"temperature": 61.2}, "tyres": [2.3, 2.4]}` |
| `scalar` | `3.500000000017`: the metric is in the topic, the sequence number in the last digits |
| `quoted` | the same in quotes, as devices send it that quote everything |
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from penstock_simulator.clocks import ClockForm
from penstock_simulator.devices import Metric
from penstock_simulator.fleet import Fleet
from penstock_simulator.forms import Columns, NumberForm, WordForm
from penstock_simulator.identity import bits
from penstock_simulator.signals import Moment, Raw

QUALITIES = (192, 24, 64, 0)
"""The OPC codes that devices report: good for most, and three that are not."""

_QUALITY_FORM = WordForm(tuple(str(quality).encode() for quality in QUALITIES))
_QUALITY_KEY = np.uint64(0x7175616C697479)
_BITS = np.uint64(32)
_SELDOM = 64

Form = NumberForm | WordForm | ClockForm


class Hole(NamedTuple):
    """Where in a payload something is written."""

    at: slice
    form: Form

    def fill(self, payloads: Columns, raw: Raw) -> None:
        """Write it into payloads, one a row."""
        self.form.put(payloads[:, self.at], raw)


class Entry(NamedTuple):
    """The holes of one reading."""

    clock: Hole | None
    values: tuple[tuple[int, Hole], ...]
    """With the position of each metric."""
    qualities: tuple[tuple[int, Hole], ...]


class Layout(NamedTuple):
    """A payload to be filled in."""

    blank: bytes
    entry: Entry
    """The holes of its first reading, counted from `origin` on."""
    origin: int = 0
    size: int = 1
    """Readings in it."""
    stride: int = 0
    """From one reading to the next, where there are several."""

    def readings(self, payloads: Columns) -> Columns:
        """Its readings, one a row: a view of payloads with one reading, and else a copy."""
        if self.size == 1:
            return payloads[:, self.origin :]
        return payloads[:, self._span].reshape(len(payloads) * self.size, self.stride)

    def put_back(self, payloads: Columns, readings: Columns) -> None:
        """Write what `readings` gave into the payloads, if it was a copy."""
        if self.size > 1:
            payloads[:, self._span] = readings.reshape(len(payloads), self.size * self.stride)

    @property
    def _span(self) -> slice:
        return slice(self.origin, self.origin + self.size * self.stride)


@cache
def layouts(fleet: Fleet) -> tuple[Layout, ...]:
    """The payloads of a fleet, one for each of its variants."""
    if not fleet.untimed:
        return (_Writer(fleet).layout(),)
    quote = b'"' if fleet.shape == "quoted" else b""
    # What a shorter name saves in the topic is made up here: packets are equally long.
    lengths = [len(m.name.encode()) + len(m.form.blank) for m in fleet.reported]
    return tuple(
        _scalar(number, metric, quote, padding=max(lengths) - length)
        for number, (metric, length) in enumerate(zip(fleet.reported, lengths, strict=True))
    )


def qualities(moment: Moment, metric: int) -> Raw:
    """The position in `QUALITIES` of what devices of the shape `detailed` say of a metric."""
    keys = moment.keys + _QUALITY_KEY + np.uint64(metric)
    chosen = (bits(keys, moment.sequence) >> _BITS).astype(np.int64) % _SELDOM
    return np.where(chosen < len(QUALITIES), chosen, 0)


def _scalar(number: int, metric: Metric, quote: bytes, *, padding: int) -> Layout:
    form = metric.form
    hole = Hole(slice(len(quote), len(quote) + len(form.blank)), form)
    blank = quote + form.blank + quote + b" " * padding
    return Layout(blank, Entry(None, ((number, hole),), ()))


class _Writer:
    """Writes one payload, and remembers its holes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._text = bytearray()
        self._origin = 0
        self._values: list[tuple[int, Hole]] = []
        self._qualities: list[tuple[int, Hole]] = []

    def layout(self) -> Layout:
        match self._fleet.shape:
            case "flat":
                entry = self._flat()
            case "list":
                return self._batch(b"[", b"]")
            case "readings":
                return self._batch(b'{"readings":[', b"]}")
            case _:
                entry = self._envelope()
        return Layout(bytes(self._text), entry)

    def _batch(self, before: bytes, after: bytes) -> Layout:
        self._text += before
        self._origin = len(before)
        entry = self._envelope()
        reading, count = bytes(self._text[self._origin :]), self._fleet.batch
        blank = before + b",".join([reading] * count) + after
        # The last reading has a byte of `after` where the others have their comma.
        return Layout(blank, entry, self._origin, count, len(reading) + 1)

    def _envelope(self) -> Entry:
        self._text += b'{"ts":'
        clock = self._hole(ClockForm(self._fleet.clock))
        self._text += b',"metrics":{'
        for number, metric in enumerate(self._fleet.reported):
            self._text += (b"," if number else b"") + _key(metric.name)
            if self._fleet.shape == "detailed" and not metric.words:
                self._detailed(number, metric)
            else:
                self._values.append((number, self._hole(metric.form)))
        self._text += b"}}"
        return self._entry(clock)

    def _detailed(self, number: int, metric: Metric) -> None:
        self._text += b'{"value":'
        self._values.append((number, self._hole(metric.form)))
        self._text += b',"quality":'
        self._qualities.append((number, self._hole(_QUALITY_FORM)))
        if metric.unit:
            self._text += b"," + _key("unit") + _json(metric.unit)
        self._text += b"}"

    def _flat(self) -> Entry:
        self._text += b"{" + _key(self._fleet.timestamp_path)
        clock = self._hole(ClockForm(self._fleet.clock))
        self._text += b","
        self._members([(m.name.split("."), n) for n, m in enumerate(self._fleet.reported)])
        self._text += b"}"
        return self._entry(clock)

    def _members(self, metrics: Sequence[tuple[list[str], int]]) -> None:
        """Write metrics by the rest of their names; those with a common beginning are nested."""
        groups: dict[str, list[tuple[list[str], int]]] = {}
        for path, number in metrics:
            groups.setdefault(path[0], []).append((path[1:], number))
        for position, (name, group) in enumerate(groups.items()):
            self._text += (b"," if position else b"") + _key(name)
            if group[0][0]:
                self._nested(group)
            else:
                number = group[0][1]
                self._values.append((number, self._hole(self._fleet.reported[number].form)))

    def _nested(self, group: list[tuple[list[str], int]]) -> None:
        is_array = all(path[0] == str(number) for number, (path, _) in enumerate(group))
        if not is_array:
            self._text += b"{"
            self._members(group)
            self._text += b"}"
            return
        self._text += b"["
        for position, (_, number) in enumerate(group):
            self._text += b"," if position else b""
            self._values.append((number, self._hole(self._fleet.reported[number].form)))
        self._text += b"]"

    def _hole(self, form: Form) -> Hole:
        start = len(self._text) - self._origin
        self._text += form.blank
        return Hole(slice(start, start + len(form.blank)), form)

    def _entry(self, clock: Hole) -> Entry:
        entry = Entry(clock, tuple(self._values), tuple(self._qualities))
        self._values, self._qualities = [], []
        return entry


def _key(name: str) -> bytes:
    return _json(name) + b":"


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
