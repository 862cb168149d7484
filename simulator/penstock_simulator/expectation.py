"""What must be stored of a fleet: which reading a row is, and what its value must be."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.identity import keys_of
from penstock_simulator.shapes import QUALITIES, qualities
from penstock_simulator.signals import NUMBERED, Moment
from penstock_simulator.timing import sequences, timestamps_us

GOOD_QUALITY = 192

_BIGGEST = 2.0**53


class Readings(NamedTuple):
    """Single readings of a fleet; device and sequence number are -1 for none."""

    device: Numbers
    metric: Numbers
    sequence: Numbers

    def where(self, which: NDArray[np.bool_]) -> "Readings":
        """Some of them."""
        return Readings(self.device[which], self.metric[which], self.sequence[which])


class Expectation:
    """Computes again what the fleet's packets said."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._metrics = fleet.reported
        devices = range(fleet.size)
        self._keys = keys_of(fleet.seed, [(fleet.tenant(d), fleet.device(d)) for d in devices])

    def identify(
        self, device: Numbers, metric: Numbers, ts_us: Numbers, value: NDArray[np.generic]
    ) -> Readings:
        """The readings that rows are: by their time or, where they were sent without, by value."""
        if self._fleet.untimed:
            sequence = self._numbers_in(metric, value)
        else:
            sequence = sequences(self._fleet, device, ts_us)
        return Readings(device, metric, np.where(device >= 0, sequence, -1))

    def messages(self, readings: Readings) -> Numbers:
        """The number of the message of its device in which each reading is, or -1."""
        if self._fleet.untimed:
            message = readings.sequence * self._fleet.variants + readings.metric
        else:
            message = readings.sequence // self._fleet.batch
        return np.where(readings.sequence >= 0, message, -1)

    def positions(self, readings: Readings) -> Numbers:
        """Where in its message each reading is."""
        if self._fleet.untimed:
            return np.zeros_like(readings.metric)
        position = readings.sequence % self._fleet.batch
        return position * len(self._metrics) + readings.metric

    def is_text(self, metric: Numbers) -> NDArray[np.bool_]:
        """Whether the values of metrics are texts, which have a table of their own."""
        texts = np.array([bool(each.words) for each in self._metrics], dtype=np.bool_)
        chosen: NDArray[np.bool_] = texts[metric]
        return chosen

    def right(
        self, readings: Readings, value: NDArray[np.generic], quality: Numbers | None
    ) -> NDArray[np.bool_]:
        """Which values are what was sent; texts have no qualities."""
        right = np.zeros(len(value), dtype=np.bool_)
        for number, metric in enumerate(self._metrics):
            here = readings.metric == number
            if not here.any():
                continue
            device, sequence = readings.device[here], readings.sequence[here]
            moment = Moment(
                self._keys[device], sequence, timestamps_us(self._fleet, device, sequence)
            )
            raw = metric.signal.at(moment)
            if quality is None:
                right[here] = value[here] == np.array(metric.words, dtype=object)[raw]
            else:
                same = value[here] == metric.values(raw)
                right[here] = same & (quality[here] == self._qualities(moment, number))
        return right

    def _qualities(self, moment: Moment, metric: int) -> Numbers:
        if self._fleet.shape != "detailed":
            return np.full(len(moment.keys), GOOD_QUALITY, dtype=np.int64)
        return np.array(QUALITIES, dtype=np.int64)[qualities(moment, metric)]

    def _numbers_in(self, metric: Numbers, value: NDArray[np.generic]) -> Numbers:
        """The sequence numbers that numbered values end with, -1 where there is none."""
        if value.dtype != np.float64:
            return np.full(len(metric), -1, dtype=np.int64)
        decimals = np.array([m.decimals for m in self._metrics], dtype=np.int64)[metric]
        floats, units = value.astype(np.float64), 10.0**decimals
        sane = np.abs(floats) < _BIGGEST / units
        numbers = np.rint(np.where(sane, floats, 0) * units).astype(np.int64) % NUMBERED
        return np.where(sane, numbers, -1)
