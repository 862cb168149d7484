"""What Penstock should make of a capture's messages, under a configuration's routes and limits.

The daemon's own decoders say so, as they do in `penstock explain`. So what is found in a database
tells whether everything arrived, once and unchanged; whether a payload was understood rightly is
not judged here, but where the simulator knows the values beforehand.
"""

from array import array
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.cli.interpretation import Interpretation, Interpreter
from penstock.errors import Reason, Rejected
from penstock.model import SeriesKey
from penstock.settings.tree import Settings
from penstock.topics import Router
from penstock.topics.filters import covers
from penstock_simulator.capture.message import Captured
from penstock_simulator.fleet import Numbers


class Readings(NamedTuple):
    """Readings in columns."""

    message: Numbers
    """Which message of the capture each is of."""
    series: Numbers
    ts_us: Numbers
    value: NDArray[np.generic]
    """Doubles, or texts."""
    quality: Numbers
    """0 for texts, which have none."""


class Expected(NamedTuple):
    """What should become of each message of a capture."""

    series: list[SeriesKey]
    """By their numbers in the columns."""
    numbers: Readings
    texts: Readings
    stamped: Numbers
    """The messages of readings that carry no time, so that the daemon stamps them; one entry a
    reading."""
    stamped_series: Numbers
    """The series of these."""
    refused: dict[Reason, list[int]]
    """The messages that become dead letters."""
    unrouted: int
    """Messages that the daemon does not subscribe to."""
    topics: list[str]
    """Of the others, each once."""


def expect(
    messages: Iterable[Captured], settings: Settings, received_us: Iterable[int]
) -> Expected:
    """What a daemon should make of messages, each of which it receives at the time given for it.

    Raises:
        ConfigError: the routes have faults.
    """
    expectation = _Expectation(settings)
    for number, (message, at_us) in enumerate(zip(messages, received_us, strict=False)):
        expectation.add(number, message, at_us)
    return expectation.finished()


class _Columns:
    """Readings that are gathered."""

    def __init__(self) -> None:
        self.message, self.series, self.ts_us = array("q"), array("q"), array("q")
        self.quality = array("q")

    def add(self, message: int, series: int, ts_us: int, quality: int) -> None:
        self.message.append(message)
        self.series.append(series)
        self.ts_us.append(ts_us)
        self.quality.append(quality)

    def finished(self, value: NDArray[np.generic]) -> Readings:
        return Readings(
            _numbers(self.message),
            _numbers(self.series),
            _numbers(self.ts_us),
            value,
            _numbers(self.quality),
        )


class _Expectation:
    def __init__(self, settings: Settings) -> None:
        self._interpreter = Interpreter(settings)
        self._filters = Router(settings.routes, settings.limits).filters
        self._numbers, self._texts = _Columns(), _Columns()
        self._values = array("d")
        self._text_values: list[str] = []
        self._stamped, self._stamped_series = array("q"), array("q")
        self._refused: dict[Reason, list[int]] = {}
        self._unrouted = 0
        self._topics: dict[str, bool] = {}

    def add(self, number: int, message: Captured, received_us: int) -> None:
        if not self._subscribes(message.topic):
            self._unrouted += 1
            return
        try:
            read = self._interpreter.read(message.topic, message.payload, received_us)
        except Rejected as refusal:
            self._refused.setdefault(refusal.reason, []).append(number)
            return
        self._take(number, read, received_us)

    def _subscribes(self, topic: str) -> bool:
        """Whether the daemon receives messages of a topic."""
        found = self._topics.get(topic)
        if found is None:
            found = any(covers(wide, topic) for wide in self._filters)
            # Wildcards do not take topics that begin so (MQTT 5 §4.7.2).
            found = self._topics[topic] = found and not topic.startswith("$")
        return found

    def _take(self, number: int, read: Interpretation, received_us: int) -> None:
        # Envelopes without a time are stamped with the time of receipt and those just after it.
        stamps = range(received_us, received_us + len(read.groups))
        for reading in read.readings():
            series = read.device.series[reading.metric]
            if reading.ts_us in stamps:
                self._stamped.append(number)
                self._stamped_series.append(series)
            elif isinstance(reading.value, str):
                self._texts.add(number, series, reading.ts_us, 0)
                self._text_values.append(reading.value)
            else:
                self._numbers.add(number, series, reading.ts_us, reading.quality or 0)
                self._values.append(reading.value)

    def finished(self) -> Expected:
        return Expected(
            series=self._interpreter.index.keys,
            numbers=self._numbers.finished(np.array(self._values, dtype=np.float64)),
            texts=self._texts.finished(np.array(self._text_values, dtype=object)),
            stamped=_numbers(self._stamped),
            stamped_series=_numbers(self._stamped_series),
            refused=self._refused,
            unrouted=self._unrouted,
            topics=[topic for topic, subscribed in self._topics.items() if subscribed],
        )


def overrides_of(settings: Settings) -> dict[str, str]:
    """What decides about a message, as the environment gives it to a daemon."""
    return dict(
        _flattened("ROUTES", msgspec.to_builtins(settings.routes))
        + _flattened("LIMITS", msgspec.to_builtins(settings.limits))
    )


def _flattened(name: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, one in value.items() for pair in _flattened(f"{name}__{key}", one)]
    if isinstance(value, list | tuple):
        return [
            pair for place, one in enumerate(value) for pair in _flattened(f"{name}__{place}", one)
        ]
    return [(name.upper(), "" if value is None else str(value))]


def _numbers(column: "array[int]") -> Numbers:
    return np.array(column, dtype=np.int64)
