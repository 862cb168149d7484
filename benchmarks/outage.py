"""`python -m benchmarks.outage`: what an outage of the database costs, while it lasts and after it.

A fleet publishes at a fixed rate all the time. The database server is killed, stays away, and comes
back to a backlog in the spool and to live traffic. Measured are the daemon's resident memory before
the outage and at its end; how quickly the backlog is replayed beside the live traffic; and how long
live messages take meanwhile, from publish to commit, by the commit timestamps of the database. In
the end the oracle reconciles every reading.

The replay counts from the first batch that leaves the spool to the last one. Messages count as
live when they were sent in that time, after a second for those that were under way.

The exit status is 1 when something does not add up, whatever the figures.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from benchmarks.line_rate import METRICS, new_fleet
from benchmarks.load import LoadSpec
from benchmarks.machine import describe_machine
from benchmarks.processes import end, resident_bytes
from penstock import sandbox
from penstock_simulator.account import Latency
from penstock_simulator.gauges import totals_of
from penstock_simulator.judge import Judge
from penstock_simulator.ledger import load
from penstock_simulator.oracle import examine
from penstock_simulator.stack import Daemon

BEFORE_SECONDS = 10.0
AFTER_SECONDS = 5.0
UNDER_WAY_US = 1_000_000
POLL_SECONDS = 0.05
MEBIBYTE = 1_048_576


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    messages_per_second: float
    seconds: float
    backlog_rows: int
    """In the spool when the database was back."""
    resident_mib_before: float
    resident_mib_after: float
    """At the end of the outage."""
    arrival_rows_per_second: float
    drain_rows_per_second: float
    drain_ratio: float
    """Of the backlog's drain to the arrival of live readings beside it."""
    live_latency_ms: Latency
    """While the backlog drained."""
    lost: int
    duplicates: int


def main(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="Length of the outage.")] = 60,
    rate: Annotated[float, typer.Option(min=1, help="Messages/s.")] = 20_000,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JSON.")] = None,
) -> None:
    """Measure an outage of the database under load."""
    console = Console()
    console.print(describe_machine(), soft_wrap=True)
    with (
        sandbox.scratch_folder() as folder,
        sandbox.Broker(folder / "broker") as broker,
        sandbox.Postgres(folder / "postgres") as postgres,
    ):
        measured, judge = _measure(folder, broker, postgres, seconds=seconds, rate=rate)
    for name, value in msgspec.to_builtins(measured).items():
        console.print(f"{name}: {value}")
    if report is not None:
        report.write_text(json.dumps(msgspec.to_builtins(measured), indent=2) + "\n")
    raise typer.Exit(0 if judge.account().holds else 1)


def _measure(
    folder: Path,
    broker: sandbox.Broker,
    postgres: sandbox.Postgres,
    *,
    seconds: float,
    rate: float,
) -> tuple[Outage, Judge]:
    dsn = sandbox.create_database(postgres.dsn, "penstock")
    daemon = Daemon(folder, mqtt_url=broker.url, dsn=dsn)
    daemon.start()
    ledger = folder / "ledger"
    fleet = new_fleet(1, rate)
    spec = LoadSpec(url=broker.url, fleet=fleet, rate=rate, ledger=str(ledger))
    command = [sys.executable, "-m", "benchmarks.load", msgspec.json.encode(spec).decode()]
    publisher = subprocess.Popen(command)
    try:
        time.sleep(BEFORE_SECONDS)
        before_bytes = resident_bytes(daemon.process_id)
        postgres.kill()
        time.sleep(seconds)
        after_bytes = resident_bytes(daemon.process_id)
        postgres.start()
        drain = _watch_drain(daemon)
        time.sleep(AFTER_SECONDS)
    finally:
        end(publisher)
    _wait_until_stored(daemon)
    judge = asyncio.run(examine(dsn, load([ledger])))
    daemon.stop()
    account = judge.account()
    drained = drain.rows / drain.seconds
    return Outage(
        messages_per_second=rate,
        seconds=seconds,
        backlog_rows=drain.backlog_rows,
        resident_mib_before=round(before_bytes / MEBIBYTE, 1),
        resident_mib_after=round(after_bytes / MEBIBYTE, 1),
        arrival_rows_per_second=rate * METRICS,
        drain_rows_per_second=round(drained),
        drain_ratio=round(drained / (rate * METRICS), 2),
        live_latency_ms=judge.latency(drain.started_us + UNDER_WAY_US, drain.ended_us),
        lost=account.lost,
        duplicates=account.duplicates,
    ), judge


class _Drain(msgspec.Struct, frozen=True, kw_only=True):
    backlog_rows: int
    rows: int
    started_us: int
    ended_us: int

    @property
    def seconds(self) -> float:
        return (self.ended_us - self.started_us) / 1e6


def _watch_drain(daemon: Daemon) -> _Drain:
    backlog_rows = 0.0
    while not _metric(daemon, "penstock_spool_replayed_rows_total"):
        backlog_rows = _metric(daemon, "penstock_spool_rows")
        time.sleep(POLL_SECONDS)
    started_us = _now_us()
    rows = _metric(daemon, "penstock_spool_replayed_rows_total")
    while _metric(daemon, "penstock_spool_batches"):
        time.sleep(POLL_SECONDS)
    return _Drain(
        backlog_rows=int(backlog_rows),
        rows=int(_metric(daemon, "penstock_spool_replayed_rows_total") - rows),
        started_us=started_us,
        ended_us=_now_us(),
    )


def _wait_until_stored(daemon: Daemon) -> None:
    while any(
        _metric(daemon, name)
        for name in ("penstock_readings_in_flight", "penstock_mqtt_unacknowledged_messages")
    ):
        time.sleep(POLL_SECONDS)


def _metric(daemon: Daemon, name: str) -> float:
    """The sum of a metric's samples."""
    return totals_of(daemon.get("/metrics") or "")[name]


def _now_us() -> int:
    return time.time_ns() // 1_000


if __name__ == "__main__":
    typer.run(main)
