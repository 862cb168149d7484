"""How quiet the machine was while something was measured, and when it was too noisy to count.

Two things are looked at. The kernel counts what the cores did (proc(5), /proc/stat): what neither
this process nor its descendants used, and what a hypervisor took, is *foreign*. And where a
benchmark needs one core alone, a loop that always does the same is timed before and after: where it
takes longer than it did at best, the cores were slower or shared, which shows in processor time.

Servers that the environment names are not our descendants: then only what the hypervisor took and
the loop are looked at.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE

MOST_FOREIGN = 0.1
"""Share of all cores' time that others may take."""
MOST_SLOWED = 1.15
"""How much longer than at best the loop may take."""
MOST_GENERATOR = 0.9
"""Share of a core from which on a load generator counts as the bottleneck."""

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_ROUNDS = 100_000
_LOOPS = 5
_WORK_FIELDS = (0, 1, 2, 7)
"""User, nice, system and steal; interrupts, which our own traffic causes, belong to nobody."""
_STEAL_FIELD = 7
_COUNTED_FIELDS = 8
"""Guest time, which follows, is part of user time."""


class Noise(NamedTuple):
    """What disturbed a window."""

    foreign: float = 0.0
    """Share of all cores' time that went to others."""
    slowed: float = 1.0
    """How much longer than at best the loop took."""

    @property
    def too_much(self) -> bool:
        """Whether what was measured meanwhile is void."""
        return bool(self.remark)

    @property
    def remark(self) -> str:
        """What to add to the figures of a window that is void for it."""
        if self.foreign > MOST_FOREIGN:
            return f", VOID: others used {self.foreign:.0%} of the cores"
        if self.slowed > MOST_SLOWED:
            return f", VOID: a loop took {self.slowed:.2f} times as long as at best"
        return ""


def why_void(noise: Noise, generator_cpu: float) -> str:
    """What to add to the figures of a window that does not count; nothing to those of others.

    `generator_cpu` is the share of a core that the load generator used.
    """
    if generator_cpu > MOST_GENERATOR:
        return ", VOID: the generator was the limit"
    return noise.remark


class Listener:
    """Hears the noise between two moments; the loop only where it is `alone`.

    Its scale is the quickest loop that this process has seen so far.
    """

    _best_seconds = float("inf")

    def __init__(self, *, alone: bool = False) -> None:
        """`alone` says that nothing of ours runs besides, which would slow the loop as well."""
        self._alone = alone
        self._loop_seconds = self._time_loops()
        self._before = _read()

    def hear(self) -> Noise:
        """The noise since this object was made."""
        after = _read()
        loop_seconds = max(self._loop_seconds, self._time_loops())
        span_seconds = after.all_seconds - self._before.all_seconds
        foreign_seconds = after.foreign_seconds - self._before.foreign_seconds
        return Noise(
            round(max(0.0, foreign_seconds / max(span_seconds, 1 / _TICKS_PER_SECOND)), 3),
            round(loop_seconds / Listener._best_seconds, 3) if self._alone else 1.0,
        )

    def _time_loops(self) -> float:
        """The quickest of a few loops: an interrupt in one of them is no noise yet."""
        if not self._alone:
            return 0.0
        seconds = min(_loop_seconds() for _ in range(_LOOPS))
        Listener._best_seconds = min(Listener._best_seconds, seconds)
        return seconds


class _Reading(NamedTuple):
    all_seconds: float
    foreign_seconds: float


def _read() -> _Reading:
    line = Path("/proc/stat").read_text().partition("\n")[0]
    ticks = [int(field) for field in line.split()[1 : 1 + _COUNTED_FIELDS]]
    every = sum(ticks)
    if os.environ.get(MQTT_VARIABLE) or os.environ.get(DSN_VARIABLE):
        foreign = ticks[_STEAL_FIELD]
    else:
        foreign = sum(ticks[field] for field in _WORK_FIELDS) - _family_ticks()
    return _Reading(every / _TICKS_PER_SECOND, foreign / _TICKS_PER_SECOND)


def _family_ticks() -> int:
    """Processor time of this process and its descendants, those that have ended included.

    What has ended and was waited for is in its parent's account.
    """
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        process_id = int(stat.parent.name)
        parents[process_id] = int(fields[1])
        used[process_id] = sum(int(field) for field in fields[11:15])
    return sum(ticks for process_id, ticks in used.items() if _is_family(process_id, parents))


def _is_family(process_id: int, parents: dict[int, int]) -> bool:
    while process_id > 1:
        if process_id == os.getpid():
            return True
        process_id = parents.get(process_id, 0)
    return False


def _loop_seconds() -> float:
    """Processor time of a loop that always does the same."""
    started = time.process_time()
    total = 0
    for number in range(_ROUNDS):
        total += number & 0xFF
    return time.process_time() - started
