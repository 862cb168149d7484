"""What becomes of messages when the database is restarted under load.

A fleet publishes at a fixed rate all the time. The database server is stopped as an operator stops
it, stays away for some seconds, and comes back. In the end everybody has time to store what is
left, and the oracle reconciles what the broker acknowledged with what is in the table.
"""

import time

from benchmarks.line_rate import MakeSubject, new_fleet, packet_of
from benchmarks.load import LoadSpec, publishing
from benchmarks.reconciling import settled
from benchmarks.subjects import Bench
from penstock import sandbox
from penstock_simulator.account import Account
from penstock_simulator.ledger import load

BEFORE_SECONDS = 4.0
AWAY_SECONDS = 5.0
AFTER_SECONDS = 6.0


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
        with publishing(spec):
            time.sleep(BEFORE_SECONDS)
            postgres.stop()
            time.sleep(AWAY_SECONDS)
            postgres.start()
            time.sleep(AFTER_SECONDS)
        return settled(subject.dsn, load([path])).account()
