"""When each slot of each lane is due: a pure function, so that no ledger has to keep it.

The messages of all lanes are counted together: slot s of lane l of n has the *place* s * n + l,
and is due when the pace has come to its place. Jitter moves a slot by up to one turn of its lane,
so the slots of a lane stay in order. A lane that is born late lets the turns before its birth pass,
and has its slot 0 at the next one.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from penstock_simulator.fleet import Count, Numbers
from penstock_simulator.identity import bits, keys_of
from penstock_simulator.life import Births, fractions
from penstock_simulator.pace import Floats, Pace


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The send times of a run; a ledger carries it to whoever judges latency."""

    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    lanes: Count
    pace: Pace
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the time between two messages of a lane by which a message may be late."""
    births: Births | None = None

    def due_us(self, lane: int, slots: Numbers) -> Numbers:
        """When each slot of a lane is due, in µs since the run began."""
        lanes = np.full(len(slots), lane, dtype=np.int64)
        turns = slots + self.unborn_turns(lanes[:1])
        return np.rint(self.pace.due_seconds(self.places(lanes, turns)) * 1e6).astype(np.int64)

    def places(self, lanes: Numbers, turns: Numbers) -> Floats:
        """How far the pace has to come until each lane's turn of that number is due."""
        return (turns + self._delays(lanes, turns)) * self.lanes + lanes

    def due_turns(self, lanes: Numbers, places: Floats) -> Numbers:
        """How many turns of each lane are due when the pace has come that far."""
        turned = (places - lanes) / self.lanes
        whole = np.floor(turned).astype(np.int64)
        due: Numbers = whole + (self._delays(lanes, whole) <= turned - whole)
        return np.maximum(0, due)

    def unborn_turns(self, lanes: Numbers) -> Numbers:
        """How many turns of each lane pass before it is born: its slot 0 is the next one."""
        if self.births is None:
            return np.zeros(len(lanes), dtype=np.int64)
        births_seconds = self.births.seconds(self.seed, lanes)
        places = np.array([self.pace.due_messages(s) for s in births_seconds.tolist()])
        return np.where(births_seconds > 0, self.due_turns(lanes, places), 0)

    def _delays(self, lanes: Numbers, turns: Numbers) -> Floats:
        """By how much of a turn slots are late, from 0 to `jitter`."""
        if not self.jitter:
            return np.zeros(len(turns))
        keys = bits(keys_of(self.seed, [("jitter",)]), lanes)
        return fractions(bits(keys, turns)) * self.jitter
