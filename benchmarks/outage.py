"""What an outage of the database costs, while it lasts and after it.

A fleet publishes at a fixed rate all the time. The database server is killed, stays away, and comes
back to a backlog in the spool and to live traffic. Measured are the daemon's resident memory before
the outage, and the most of it until the backlog has drained; how quickly the backlog is replayed
beside the live traffic; and how long live messages take meanwhile, from due to committed. In the
end the oracle reconciles every reading.

The replay counts from the last look at which nothing had left the spool. Messages count as live
when they were due during the replay, without its first second, whose messages may have come upon
the end of the outage (of a replay shorter than two seconds, without its first half).

Nothing is waited for in vain: a replay that stands still, or a daemon that does not answer, ends
the measurement.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from benchmarks.frame import BenchError
from benchmarks.line_rate import METRICS, new_fleet
from benchmarks.load import LoadSpec, publishing
from benchmarks.noise import Listener, Noise, why_void
from benchmarks.processes import cpu_seconds, most_resident_bytes, resident_bytes
from benchmarks.reconciling import reconciled
from penstock import sandbox
from penstock.sandbox.endpoints import DSN_VARIABLE
from penstock_simulator.fleet import Numbers
from penstock_simulator.gauges import totals_of
from penstock_simulator.judge import Judge
from penstock_simulator.ledger import load
from penstock_simulator.percentiles import per_second
from penstock_simulator.stack import Daemon, running_stack

BEFORE_SECONDS = 10.0
AFTER_SECONDS = 5.0
_UNDER_WAY_US = 1_000_000
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05


class Course(NamedTuple):
    """Messages in each second, from the beginning of the load."""

    outage_second: int
    """When the database was killed."""
    due: Numbers
    committed: Numbers


class Outage(NamedTuple):
    """One outage."""

    backlog_rows: int
    """In the spool when the replay began."""
    before_bytes: int
    """Resident memory before the outage."""
    most_bytes: int
    """At most, from its beginning until the backlog had drained."""
    arrival_rows_per_second: float
    drain_rows_per_second: float
    live_waits_us: Numbers
    """From due to committed, of each live message."""
    course: Course
    noise: Noise = Noise()
    """While the backlog drained."""
    generator_cpu: float = 0.0
    """Share of a core, likewise."""

    @property
    def drain_ratio(self) -> float:
        """The backlog's drain ÷ the arrival of live readings beside it."""
        return self.drain_rows_per_second / self.arrival_rows_per_second

    @property
    def void(self) -> bool:
        """Whether it does not count."""
        return bool(self.remark)

    @property
    def remark(self) -> str:
        """What to add to its figures if it is void."""
        return why_void(self.noise, self.generator_cpu)


def measure_once(*, seconds: float, rate: float, before_seconds: float = BEFORE_SECONDS) -> Outage:
    """Measure one outage, on servers of its own.

    Raises:
        BenchError: nothing was replayed, or what was stored does not add up.
    """
    with (
        sandbox.scratch_folder() as folder,
        running_stack() as stack,
        ThreadPoolExecutor(1) as thread,
    ):
        if stack.database is None:
            raise BenchError(f"an outage needs a server of its own, and {DSN_VARIABLE} is set")
        ledger = folder / "ledger"
        fleet = new_fleet(1, rate)
        spec = LoadSpec(url=stack.mqtt_url, fleet=fleet, rate=rate, ledger=str(ledger))
        with publishing(spec) as generator:
            time.sleep(before_seconds)
            absence = _take_away(stack.database, stack.daemon, seconds)
            looks = _looks(stack.daemon, generator.pid)
            away = next(looks)
            # Watched from the first moment, since the daemon waits for nobody.
            returned = thread.submit(stack.database.start)
            drain = _watch_drain(away, looks)
            returned.result()
            time.sleep(AFTER_SECONDS)
        judge = reconciled(stack.dsn, load([ledger]))
        return _outage(absence, drain, judge, rate * METRICS)


class _Absence(NamedTuple):
    started_us: int
    before_bytes: int
    most_bytes: int


def _take_away(database: sandbox.Postgres, daemon: Daemon, seconds: float) -> _Absence:
    before_bytes = resident_bytes(daemon.process_id)
    started_us = _now_us()
    database.kill()
    most_bytes = most_resident_bytes((daemon.process_id,), seconds)
    return _Absence(started_us, before_bytes, most_bytes)


class _Look(NamedTuple):
    """The spool at a moment."""

    at_us: int
    replayed_rows: float
    waiting_rows: float
    waiting_batches: float
    resident_bytes: int
    generator_seconds: float


class _Drain(NamedTuple):
    began: _Look
    ended: _Look
    most_bytes: int
    noise: Noise

    @property
    def seconds(self) -> float:
        return (self.ended.at_us - self.began.at_us) / 1e6

    @property
    def rows(self) -> float:
        return self.ended.replayed_rows - self.began.replayed_rows


def _watch_drain(away: _Look, looks: Iterator[_Look]) -> _Drain:
    """What was replayed earlier, `away` says, when nothing could be."""
    listener = Listener()
    began = look = away
    most_bytes = look.resident_bytes
    while look.waiting_batches or look.replayed_rows == away.replayed_rows:
        look = next(looks)
        most_bytes = max(most_bytes, look.resident_bytes)
        if look.replayed_rows == away.replayed_rows:
            began = look
    return _Drain(began, look, most_bytes, listener.hear())


def _looks(daemon: Daemon, generator_id: int) -> Iterator[_Look]:
    """The spool, over and over, as long as more and more of it is replayed."""
    replayed_rows, changed_at = -1.0, time.monotonic()
    while time.monotonic() - changed_at < _PATIENCE_SECONDS:
        look = _look(daemon, generator_id)
        if look is not None:
            if look.replayed_rows > replayed_rows:
                replayed_rows, changed_at = look.replayed_rows, time.monotonic()
            yield look
        time.sleep(_POLL_SECONDS)
    raise BenchError(f"nothing was replayed for {_PATIENCE_SECONDS:g} s:\n{daemon.log_tail()}")


def _look(daemon: Daemon, generator_id: int) -> _Look | None:
    """Nothing where the daemon does not answer."""
    exposition = daemon.get("/metrics")
    if exposition is None:
        return None
    totals = totals_of(exposition)
    return _Look(
        at_us=_now_us(),
        replayed_rows=totals["penstock_spool_replayed_rows_total"],
        waiting_rows=totals["penstock_spool_rows"],
        waiting_batches=totals["penstock_spool_batches"],
        resident_bytes=resident_bytes(daemon.process_id),
        generator_seconds=cpu_seconds(generator_id),
    )


def _outage(absence: _Absence, drain: _Drain, judge: Judge, arrival: float) -> Outage:
    began_us, ended_us = drain.began.at_us, drain.ended.at_us
    under_way_us = min(_UNDER_WAY_US, (ended_us - began_us) // 2)
    live_waits_us = judge.waits(began_us + under_way_us, ended_us)
    if not len(live_waits_us):
        raise BenchError("no live message came while the backlog drained")
    generator = drain.ended.generator_seconds - drain.began.generator_seconds
    return Outage(
        backlog_rows=int(drain.began.waiting_rows),
        before_bytes=absence.before_bytes,
        most_bytes=max(absence.most_bytes, drain.most_bytes),
        arrival_rows_per_second=arrival,
        drain_rows_per_second=drain.rows / drain.seconds,
        live_waits_us=live_waits_us,
        course=_course(absence.started_us, judge),
        noise=drain.noise,
        generator_cpu=generator / drain.seconds,
    )


def _course(outage_us: int, judge: Judge) -> Course:
    due_us, committed_us = judge.commits()
    since_us, until_us = int(due_us.min()), int(committed_us.max()) + 1
    return Course(
        (outage_us - since_us) // 1_000_000,
        per_second(due_us, since_us, until_us),
        per_second(committed_us, since_us, until_us),
    )


def _now_us() -> int:
    return time.time_ns() // 1_000
