"""When devices are not there: births, outages and reconnect storms.

All moments follow from the seed. Nothing here changes what is sent, only when: a lane that is
away owes what became due meanwhile, and sends it when it is back; a lane that is not born yet
owes nothing.
"""

import heapq
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from penstock_simulator.fleet import Numbers
from penstock_simulator.identity import U64, bits, keys_of
from penstock_simulator.pace import Floats, Span

Share = Annotated[float, Meta(gt=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Births(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A share of the lanes joins one by one instead of being there from the beginning."""

    share: Share
    over_seconds: Span
    """From the beginning of the run to the last birth."""

    def seconds(self, seed: int, lanes: Numbers) -> Floats:
        """When each lane is born; 0 for those that are there from the beginning."""
        late = chances(seed, "late", lanes) < self.share
        return np.where(late, chances(seed, "birth", lanes) * self.over_seconds, 0.0)


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A share of the connections is cut at once, as when a mast or a switch fails.

    With `away_seconds` of 0 it is a reconnect storm: they come back as soon as they can, within
    `return_seconds`.
    """

    at_seconds: Seconds
    share: Share = 1.0
    away_seconds: Seconds = 0.0
    """How long none of them is back."""
    return_seconds: Seconds = 0.0
    """How long it takes then until all of them have tried to come back."""
    every_seconds: Seconds = 0.0
    """After how long the same happens again, to others; 0 for never."""


class Departure(NamedTuple):
    """Lanes that go away together."""

    at_seconds: float
    lanes: Numbers
    back_seconds: Floats
    """When each of them comes back."""


class Life(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What befalls the connections of a run."""

    births: Births | None = None
    cuts: tuple[Cut, ...] = ()

    def departures(self, seed: int, lanes: Numbers) -> Iterator[Departure]:
        """All that go away, in the order of time; without end when a cut is repeated."""
        streams = (_departures(seed, lanes, n, cut) for n, cut in enumerate(self.cuts))
        return heapq.merge(*streams, key=lambda departure: departure.at_seconds)


def chances(seed: int, what: str, numbers: Numbers) -> Floats:
    """A number in [0, 1) for each of `numbers`, the same whenever it is asked for."""
    keys = keys_of(seed, [(what,)])
    return fractions(bits(keys, numbers))


def fractions(words: U64) -> Floats:
    """Random bits as numbers in [0, 1)."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _departures(seed: int, lanes: Numbers, number: int, cut: Cut) -> Iterator[Departure]:
    time = 0
    while True:
        name = f"cut-{number}-{time}"
        gone = lanes[chances(seed, name, lanes) < cut.share]
        at_seconds = cut.at_seconds + time * cut.every_seconds
        delays = cut.away_seconds + chances(seed, f"{name}-back", gone) * cut.return_seconds
        yield Departure(at_seconds, gone, at_seconds + delays)
        if not cut.every_seconds:
            return
        time += 1
