"""How hard the simulator itself had to work, so that it is never mistaken for a slow daemon.

Two signs tell that a run measured the simulator: it used up a core, or it came late to its own
schedule, which happens too when the machine is busy with something else.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

MOST_CPU_SHARE = 0.9
MOST_LATE_SHARE = 0.01
LATE_SECONDS = 0.1

_SECOND = 1.0


class Second(NamedTuple):
    """About a second of a run."""

    at_seconds: float
    """Its end, since the run began."""
    cpu_share: float
    """Share of one core that the whole process used."""
    worst_gap_seconds: float
    """The longest time between two looks at the schedule."""


class Effort:
    """The process's own load, second by second, from looks at it that are many a second."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._now, self._cpu = now, cpu
        self._began_at = self._looked_at = self._second_at = now()
        self._began_cpu = self._looked_cpu = self._second_cpu = cpu()
        self._worst = self._late = 0.0
        self.seconds: list[Second] = []
        """What every whole second was like."""

    def look(self) -> None:
        """Note that the publisher looks at its schedule now."""
        now = self._now()
        gap = now - self._looked_at
        self._looked_at, self._looked_cpu = now, self._cpu()
        self._worst = max(self._worst, gap)
        if gap > LATE_SECONDS:
            self._late += gap
        if now - self._second_at >= _SECOND:
            self._end_second(now)

    @property
    def cpu_share(self) -> float:
        """Share of one core that the process used, over all of the run up to the last look."""
        return (self._looked_cpu - self._began_cpu) / max(self.elapsed_seconds, 1e-9)

    @property
    def late_share(self) -> float:
        """Share of the run that passed in gaps in which the schedule was not looked at."""
        return self._late / max(self.elapsed_seconds, 1e-9)

    @property
    def limits(self) -> bool:
        """Whether the run says as much about the simulator as about what it loaded."""
        return self.cpu_share > MOST_CPU_SHARE or self.late_share > MOST_LATE_SHARE

    @property
    def elapsed_seconds(self) -> float:
        """From the beginning to the last look."""
        return self._looked_at - self._began_at

    def _end_second(self, now: float) -> None:
        cpu = self._looked_cpu
        share = (cpu - self._second_cpu) / (now - self._second_at)
        self.seconds.append(Second(now - self._began_at, share, self._worst))
        self._second_at, self._second_cpu, self._worst = now, cpu, 0.0
