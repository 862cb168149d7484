"""Which lanes have something to send now.

One number a lane says at which place of the schedule it has to act next, so that a look at 20,000
lanes is one comparison of arrays. A lane that could not send what was due is *held*: it is left
out until the publisher says that it may go on. No I/O happens here.
"""

import numpy as np

from penstock_simulator.fleet import Numbers
from penstock_simulator.schedule import Schedule

NO_LIMIT = float(1 << 62)


class Agenda:
    """The next turns of some lanes of a run, in the order of `numbers`."""

    def __init__(self, numbers: Numbers, *, lanes: int, schedule: Schedule | None) -> None:
        self._numbers = numbers
        self._lanes = lanes
        self._schedule = schedule
        self._unborn = np.zeros(len(numbers), dtype=np.int64)
        if schedule is not None:
            self._unborn = schedule.unborn_turns(numbers)
        self._next = np.full(len(numbers), np.inf)

    def place_at(self, seconds: float) -> float:
        """How far the schedule has come so many seconds after the beginning."""
        return NO_LIMIT if self._schedule is None else self._schedule.pace.due_messages(seconds)

    def ready(self, place: float) -> Numbers:
        """Which lanes have something due at `place`; held ones are left out."""
        return np.flatnonzero(self._next <= place)

    def due_slots(self, which: Numbers, place: float) -> Numbers:
        """How many slots of these lanes are due at `place`, from slot 0 on."""
        lanes = self._numbers[which]
        if self._schedule is not None:
            turns = self._schedule.due_turns(lanes, np.full(len(lanes), place))
        else:
            turns = np.floor((place - lanes) / self._lanes).astype(np.int64) + 1
        due: Numbers = np.maximum(0, turns - self._unborn[which])
        return due

    def resume(self, which: Numbers, sent: Numbers) -> None:
        """Have these lanes act when the slot after those that were sent is due."""
        lanes, turns = self._numbers[which], sent + self._unborn[which]
        if self._schedule is not None:
            self._next[which] = self._schedule.places(lanes, turns)
        else:
            self._next[which] = turns * self._lanes + lanes

    def hold(self, which: int) -> None:
        """Leave a lane out until `resume`."""
        self._next[which] = np.inf

    def is_held(self, which: int) -> bool:
        """Whether a lane is left out."""
        return bool(self._next[which] == np.inf)
