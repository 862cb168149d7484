"""One window of the benchmark `growth`: what a message costs at a certain scale.

Penstock starts with a database of its own. Every device is heard once, as fast as that goes, and so
becomes known. Then, once nothing of that waits on the disk any more, comes a window in saturation:
there it reads the socket at a steady beat, while at a lower rate a message costs the more the fewer
come together, which has nothing to do with the scale. In the end every reading is reconciled.
"""

import asyncio
import os
import time
from typing import NamedTuple

import asyncpg

from benchmarks.frame import BenchError
from benchmarks.growth_scale import Scale, fill_chunks, routes_of
from benchmarks.line_rate import BACKLOG, METRICS, commits_between, packet_of, wait_for_first
from benchmarks.load import LoadSpec, publishing
from benchmarks.noise import Listener, Noise, why_void
from benchmarks.processes import cpu_seconds, most_resident_bytes, parent_of
from benchmarks.progress import read_gauge
from benchmarks.reconciling import reconciled
from benchmarks.subjects import Bench, write_back
from penstock.sandbox.endpoints import DSN_VARIABLE
from penstock_simulator.fleet import Fleet
from penstock_simulator.gauges import read_gauges
from penstock_simulator.ledger import load
from penstock_simulator.process_trees import tree_use
from penstock_simulator.stack import Daemon, fresh_database

_KNOWN_SECONDS = 120.0
_REPLAYED_SECONDS = 60.0
_POLL_SECONDS = 0.1
_WARM_UP_SECONDS = 2.0


class Cost(NamedTuple):
    """What was measured in one window."""

    messages_per_second: float
    daemon_us: float
    """Processor time a message."""
    database_us: float | None
    """Likewise, of the whole server; `None` where it is not ours."""
    resident_bytes: int
    """Of the daemon, at most."""
    first_seconds: float
    """Until all devices were known."""
    first_daemon_us: float
    """Processor time until then, a device."""
    first_database_us: float | None
    generator_cpu: float
    noise: Noise

    @property
    def void(self) -> bool:
        """Whether the generator may have been the limit, or the machine was too noisy."""
        return bool(self.remark)

    @property
    def remark(self) -> str:
        """What to add to the figures of a window that is void."""
        return why_void(self.noise, self.generator_cpu)


def measure_scale(bench: Bench, scale: Scale, *, seconds: float) -> Cost:
    """Measure one scale in saturation, for so many seconds.

    Raises:
        BenchError: not all devices became known, or what was stored does not add up.
    """
    fleet = scale.fleet()
    with fresh_database(bench.server_dsn) as dsn:
        daemon = Daemon(bench.folder, mqtt_url=bench.mqtt_url, dsn=dsn, overrides=routes_of(fleet))
        daemon.migrate()
        fill_chunks(dsn, scale.days)
        write_back(bench.server_dsn)
        daemon.start()
        try:
            return _Run(bench, daemon, dsn, fleet).measure(seconds)
        finally:
            daemon.stop()
            daemon.forget_session()


class _Sample(NamedTuple):
    at_us: int
    daemon_seconds: float
    database_seconds: float | None
    generator_seconds: float

    @property
    def at_seconds(self) -> float:
        return self.at_us / 1e6

    def since(self, before: "_Sample") -> "_Sample":
        """The differences."""
        database = None
        if self.database_seconds is not None and before.database_seconds is not None:
            database = self.database_seconds - before.database_seconds
        return _Sample(
            self.at_us - before.at_us,
            self.daemon_seconds - before.daemon_seconds,
            database,
            self.generator_seconds - before.generator_seconds,
        )


class _Run:
    """One window, from the first message to the account."""

    def __init__(self, bench: Bench, daemon: Daemon, dsn: str, fleet: Fleet) -> None:
        self._daemon = daemon
        self._dsn = dsn
        self._fleet = fleet
        self._database_id = asyncio.run(_postmaster(bench.server_dsn))
        self._ledger = bench.folder / "ledger"
        self._gauge = read_gauge(daemon.process_id, packet_of(fleet).packet_bytes)
        self._spec = LoadSpec(
            url=bench.mqtt_url,
            fleet=fleet,
            rate=0,
            gauge=self._gauge,
            backlog=BACKLOG,
            ledger=str(self._ledger),
        )

    def measure(self, seconds: float) -> Cost:
        with publishing(self._spec) as load_process:
            wait_for_first(self._gauge, load_process)
            begun = self._sample(load_process.pid)
            self._wait_until_known()
            known = self._sample(load_process.pid)
            self._wait_until_replayed()
            time.sleep(_WARM_UP_SECONDS)
            listener = Listener()
            before = self._sample(load_process.pid)
            resident = most_resident_bytes([self._daemon.process_id], seconds)
            after = self._sample(load_process.pid)
            noise = listener.hear()
        judge = reconciled(self._dsn, load([self._ledger]))
        first, cost = known.since(begun), after.since(before)
        commits = commits_between(judge, before.at_us, after.at_us)
        return Cost(
            messages_per_second=commits.per_second,
            daemon_us=cost.daemon_seconds / commits.messages * 1e6,
            database_us=_us_each(cost.database_seconds, commits.messages),
            resident_bytes=resident,
            first_seconds=first.at_seconds,
            first_daemon_us=first.daemon_seconds / self._fleet.size * 1e6,
            first_database_us=_us_each(first.database_seconds, self._fleet.size),
            generator_cpu=cost.generator_seconds / cost.at_seconds,
            noise=noise,
        )

    def _sample(self, generator_id: int) -> _Sample:
        database = None if self._database_id is None else tree_use(self._database_id)
        return _Sample(
            at_us=time.time_ns() // 1_000,
            daemon_seconds=cpu_seconds(self._daemon.process_id),
            database_seconds=None if database is None else database.cpu_seconds,
            generator_seconds=cpu_seconds(generator_id),
        )

    def _wait_until_known(self) -> None:
        deadline = time.monotonic() + _KNOWN_SECONDS
        series = self._fleet.size * METRICS
        while asyncio.run(_count_series(self._dsn)) < series:
            if time.monotonic() > deadline:
                raise BenchError(f"{self._fleet.size} devices did not become known")
            time.sleep(_POLL_SECONDS)

    def _wait_until_replayed(self) -> None:
        """Until nothing is on the disk that had to wait while devices became known."""
        deadline = time.monotonic() + _REPLAYED_SECONDS
        while self._spool_rows() != 0:
            if time.monotonic() > deadline:
                raise BenchError("what was spooled meanwhile was not replayed")
            time.sleep(_POLL_SECONDS)

    def _spool_rows(self) -> int | None:
        text = self._daemon.get("/metrics")
        return None if text is None else read_gauges(text).spool_rows


async def _count_series(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from series"))
    finally:
        await connection.close()


async def _postmaster(server_dsn: str) -> int | None:
    """The process of the server, the parent of all its others; `None` where it is not ours."""
    if os.environ.get(DSN_VARIABLE):
        return None
    connection = await asyncpg.connect(server_dsn)
    try:
        return parent_of(await connection.fetchval("select pg_backend_pid()"))
    finally:
        await connection.close()


def _us_each(seconds: float | None, count: int) -> float | None:
    return None if seconds is None else seconds / count * 1e6
