"""What becomes of messages when the database is restarted under load.

A fleet publishes at a fixed rate all the time. The database server is stopped as an operator stops
it, stays away for some seconds, and comes back. In the end everybody has time to store what is
left, and the oracle reconciles what the broker acknowledged with what is in the table.
"""

import subprocess
import sys
import time

import msgspec

from benchmarks.frame import BenchError
from benchmarks.line_rate import MakeSubject, new_fleet, packet_of, settled
from benchmarks.load import LoadSpec
from benchmarks.processes import end
from benchmarks.subjects import Bench
from penstock import sandbox
from penstock_simulator.account import Account
from penstock_simulator.ledger import load

BEFORE_SECONDS = 4.0
AWAY_SECONDS = 5.0
AFTER_SECONDS = 6.0
_PATIENCE_SECONDS = 20.0
"""Longer than any subject waits before it tries the database again."""


def measure_restart(
    bench: Bench, postgres: sandbox.Postgres, make_subject: MakeSubject, *, rate: float
) -> Account:
    """The account of one subject.

    Raises:
        BenchError: the generator failed.
    """
    fleet = new_fleet(1, rate)
    path = bench.folder / "ledger"
    spec = LoadSpec(url=bench.mqtt_url, fleet=fleet, rate=rate, ledger=str(path))
    with make_subject(bench, packet_of(fleet)) as subject:
        assert subject.dsn is not None, "who does not store has nothing to lose here"
        command = [sys.executable, "-m", "benchmarks.load", msgspec.json.encode(spec).decode()]
        publisher = subprocess.Popen(command)
        try:
            time.sleep(BEFORE_SECONDS)
            postgres.stop()
            time.sleep(AWAY_SECONDS)
            postgres.start()
            time.sleep(AFTER_SECONDS)
        finally:
            status = end(publisher)
        if status != 0:
            raise BenchError(f"the load generator ended with status {status}")
        return settled(subject.dsn, load([path]), patience_seconds=_PATIENCE_SECONDS).account()
