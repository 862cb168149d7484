"""Finds a fleet's series by the ids that a database gave them."""

from collections.abc import Mapping

import numpy as np

from penstock_simulator.fleet import Fleet, Numbers, Series


class SeriesTable:
    """The device and metric numbers of series ids. Several ids may name the same series."""

    def __init__(self, fleet: Fleet, names: Mapping[int, Series]) -> None:
        self._fleet = fleet
        self._devices = {fleet.device(number): number for number in range(fleet.size)}
        self._metrics = {metric: number for number, metric in enumerate(fleet.metric_names)}
        ids = sorted(names)
        places = [self._place(names[series_id]) for series_id in ids]
        self._ids = np.array([*ids, np.iinfo(np.int64).max], dtype=np.int64)
        self._places = np.array([*places, (-1, -1)], dtype=np.int64)

    def find(self, series_ids: Numbers) -> tuple[Numbers, Numbers]:
        """Device and metric numbers, both -1 where a series is not one of the fleet's."""
        at = np.searchsorted(self._ids, series_ids)
        at = np.where(self._ids[at] == series_ids, at, len(self._ids) - 1)
        return self._places[at, 0], self._places[at, 1]

    def _place(self, series: Series) -> tuple[int, int]:
        device = self._devices.get(series.device, -1)
        metric = self._metrics.get(series.metric, -1)
        if device < 0 or metric < 0 or series.tenant != self._fleet.tenant(device):
            return -1, -1
        return device, metric
