"""What a message costs on the way from the session to the sealed batch alone, at a certain scale.

As in `headroom` there is no broker, no database and no waiting, so this says far more precisely
than a whole daemon what grows with devices, tenants and routes. Messages come few at a time, and
before each piece the nearer caches of the processor are filled with something else, as happens to a
daemon that shares its core: else ten devices would have all that they need in the nearest.
"""

import asyncio
import time
from itertools import cycle, islice
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.frame import BenchError
from benchmarks.growth_scale import Scale, routes_of
from benchmarks.line_rate import METRICS
from benchmarks.message_path import CountedPath
from benchmarks.noise import Listener, Noise
from penstock.settings.tree import Route, Settings
from penstock_simulator.packets import LaneEncoder

_PIECE_MESSAGES = 20
_PIECES_OF_A_BATCH = 50
_LEAST_MESSAGES = 20_000
_ELSE = np.zeros(250_000)
"""As large as a core's own caches."""


class PathCost(NamedTuple):
    """One window."""

    us: float
    """Of a message, in the median piece."""
    noise: Noise

    @property
    def void(self) -> bool:
        """Whether the machine was too noisy."""
        return self.noise.too_much


class PathFeed:
    """A path at a certain scale, all of whose devices it has heard, and packets of them."""

    def __init__(self, scale: Scale) -> None:
        fleet = scale.fleet()
        routes = tuple(Route(topic=topic) for topic in routes_of(fleet).values())
        self._path = CountedPath(Settings(routes=routes))
        turns = max(_LEAST_MESSAGES, fleet.size) // fleet.lanes
        lanes = [LaneEncoder(fleet, lane).block(0, turns) for lane in range(fleet.lanes)]
        self._pieces = [
            bytes(lane.cut(first, first + _PIECE_MESSAGES))
            for first in range(0, turns, _PIECE_MESSAGES)
            for lane in lanes
        ]
        self._round = cycle(self._pieces)
        asyncio.run(self._feed(len(self._pieces)))

    def window(self, pieces: int = _LEAST_MESSAGES // _PIECE_MESSAGES) -> PathCost:
        """Feed so many pieces, from where the last window ended.

        Raises:
            BenchError: not every reading came out.
        """
        listener = Listener(alone=True)
        seconds = asyncio.run(self._feed(pieces))
        return PathCost(median(seconds) / _PIECE_MESSAGES * 1e6, listener.hear())

    async def _feed(self, pieces: int) -> list[float]:
        """The seconds of each piece."""
        path, seconds = self._path, []
        path.start_counting()
        for number, piece in enumerate(islice(self._round, pieces), start=1):
            _ELSE.sum()
            started = time.perf_counter()
            path.receive(piece)
            seconds.append(time.perf_counter() - started)
            if number % _PIECES_OF_A_BATCH == 0:
                path.flush()
        path.flush()
        messages = len(seconds) * _PIECE_MESSAGES
        if (path.messages, path.readings) != (messages, messages * METRICS):
            raise BenchError(f"{path.messages} of {messages} messages came out of the path")
        return seconds
