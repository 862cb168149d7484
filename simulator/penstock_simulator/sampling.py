"""What a run's parts used and held, looked at once a second.

Samples are columns, one row a second. What cannot be known is not there: a broker on another
machine has no column, and a second in which the daemon did not answer has None in its columns. A
rate is the mean since the sample before. It never raises for a part that is gone.
"""

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from penstock_simulator.gauges import Gauges, read_gauges
from penstock_simulator.process_trees import Use, process_use, tree_use

SAMPLE_SECONDS = 1.0

Column = list[float | None]
ProcessId = Callable[[], int | None]
"""Asked at every sample, because a server that is restarted has another; None while it is down."""


class Samples(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The columns; an empty one is of something that is not known.

    CPU is the share of one core, so it can exceed 1. Memory is resident, in bytes.
    """

    at_seconds: list[float] = []
    """Since the run began."""
    connections: Column = []
    """Of the simulator's, those that the broker has let in."""
    simulator_cpu: Column = []
    simulator_memory_bytes: Column = []
    broker_cpu: Column = []
    broker_memory_bytes: Column = []
    daemon_cpu: Column = []
    daemon_memory_bytes: Column = []
    database_cpu: Column = []
    """All backends together."""
    database_memory_bytes: Column = []
    """Shared memory counted once."""
    received_per_second: Column = []
    """Messages that the daemon received."""
    stored_per_second: Column = []
    """Readings that it committed."""
    dead_lettered_per_second: Column = []
    """Readings that it committed as dead letters."""
    unacknowledged: Column = []
    """Messages whose PUBACK it withholds."""
    queue_rows: Column = []
    spool_rows: Column = []
    spool_bytes: Column = []


class Sources(NamedTuple):
    """Where to look; what is None is not known."""

    broker: ProcessId | None = None
    daemon: ProcessId | None = None
    database: ProcessId | None = None
    exposition: Callable[[], str | None] | None = None
    """The daemon's metrics as text, or None when it does not answer; may block."""


class Sampler:
    """Takes the samples of one run."""

    def __init__(
        self,
        sources: Sources,
        *,
        connections: Callable[[], int] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.samples = Samples()
        self._connections = connections
        self._sources = sources
        self._now = now
        self._uses = {"simulator": _own_use, **_tree_uses(sources)}
        self._began_at: float | None = None
        self._at_seconds = 0.0
        self._before = _Look(0.0, {}, None)

    async def run(self, started: asyncio.Event) -> None:
        """Sample from when a run has started until cancelled."""
        await started.wait()
        self._begin(await asyncio.to_thread(self._look))
        due_seconds = self._now() + SAMPLE_SECONDS
        while True:
            await asyncio.sleep(max(0.0, due_seconds - self._now()))
            due_seconds = max(due_seconds, self._now()) + SAMPLE_SECONDS
            # Looking blocks, and so has a thread; the columns grow in this one alone.
            self._add(await asyncio.to_thread(self._look))

    @property
    def elapsed_seconds(self) -> float:
        """How long it has been sampling, as `Samples.at_seconds` counts; 0 before it began."""
        return 0.0 if self._began_at is None else self._now() - self._began_at

    def begin(self) -> None:
        """Note where the totals stand. Blocks for as long as the daemon takes to answer."""
        self._begin(self._look())

    def take(self) -> None:
        """Take a sample now; blocks likewise."""
        self._add(self._look())

    def _begin(self, look: "_Look") -> None:
        self._before = look
        self._began_at = look.at_seconds
        self._at_seconds = 0.0

    def _add(self, after: "_Look") -> None:
        before = self._before
        self._before = after
        seconds = after.at_seconds - before.at_seconds
        self._at_seconds += seconds
        self.samples.at_seconds.append(round(self._at_seconds, 3))
        if self._connections is not None:
            self._column("connections").append(float(self._connections()))
        for name, use in after.uses.items():
            self._append_use(name, _between(before.uses[name], use, seconds), use)
        if self._sources.exposition is not None:
            self._append_gauges(before.gauges, after.gauges, seconds)

    def _look(self) -> "_Look":
        exposition = self._sources.exposition and self._sources.exposition()
        return _Look(
            self._now(),
            {name: use() for name, use in self._uses.items()},
            None if exposition is None else read_gauges(exposition),
        )

    def _append_use(self, name: str, cpu: float | None, use: Use | None) -> None:
        self._column(f"{name}_cpu").append(cpu)
        memory = None if use is None else float(use.resident_bytes)
        self._column(f"{name}_memory_bytes").append(memory)

    def _append_gauges(self, before: Gauges | None, after: Gauges | None, seconds: float) -> None:
        for column, total in _TOTALS.items():
            rate = None
            if before is not None and after is not None:
                rate = _rate(getattr(before, total), getattr(after, total), seconds)
            self._column(column).append(rate)
        for column in _LEVELS:
            self._column(column).append(None if after is None else float(getattr(after, column)))
        if "daemon" not in self._uses:
            self._append_use("daemon", *_use_by_gauges(before, after, seconds))

    def _column(self, name: str) -> Column:
        column: Column = getattr(self.samples, name)
        return column


class _Look(NamedTuple):
    at_seconds: float
    uses: dict[str, Use | None]
    gauges: Gauges | None


_TOTALS = {
    "received_per_second": "received",
    "stored_per_second": "stored",
    "dead_lettered_per_second": "dead_lettered",
}
_LEVELS = ("unacknowledged", "queue_rows", "spool_rows", "spool_bytes")


def _own_use() -> Use | None:
    """The simulator's own; servers that it started are its children, but no part of it."""
    return process_use(os.getpid())


def _tree_uses(sources: Sources) -> dict[str, Callable[[], Use | None]]:
    processes = {name: getattr(sources, name) for name in ("broker", "daemon", "database")}
    return {
        name: partial(_use_of_tree, process_id)
        for name, process_id in processes.items()
        if process_id is not None
    }


def _use_of_tree(process_id: ProcessId) -> Use | None:
    number = process_id()
    return None if number is None else tree_use(number)


def _use_by_gauges(
    before: Gauges | None, after: Gauges | None, seconds: float
) -> tuple[float | None, Use | None]:
    """The daemon's CPU and use as it says itself."""
    if after is None or after.cpu_seconds is None or after.resident_bytes is None:
        return None, None
    use = Use(after.cpu_seconds, after.resident_bytes)
    if before is None or before.cpu_seconds is None:
        return None, use
    return _rate(before.cpu_seconds, after.cpu_seconds, seconds), use


def _between(before: Use | None, after: Use | None, seconds: float) -> float | None:
    if before is None or after is None:
        return None
    return _rate(before.cpu_seconds, after.cpu_seconds, seconds)


def _rate(before: float, after: float, seconds: float) -> float:
    """What was added a second; a total that went back was begun anew by a restart."""
    added = after - before if after >= before else after
    return round(added / max(seconds, 1e-9), 4)
