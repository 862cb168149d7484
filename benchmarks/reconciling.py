"""Waits until a database has all that was published, and lets the oracle judge it."""

import asyncio
import time

from benchmarks.frame import BenchError
from penstock_simulator.account import Account
from penstock_simulator.fleet import Fleet
from penstock_simulator.judge import Judge
from penstock_simulator.ledger import Ledger
from penstock_simulator.oracle import examine

_PATIENCE_SECONDS = {0: 5.0, 1: 30.0}
"""By QoS. At 0 what the broker dropped never comes; at 1 everything has to."""
_PAUSE_SECONDS = 0.25
"""Between two looks, each of which reads all rows."""


def reconciled(dsn: str, ledger: Ledger) -> Judge:
    """The judgement once all that was published is stored, or nothing more comes.

    At QoS 0 the broker may drop messages, but what is stored must be right all the same.

    Raises:
        BenchError: it is not.
        OracleError: the database could not be read.
    """
    fleet = ledger.fleet
    judge = settled(dsn, ledger)
    account = judge.account()
    if not account.holds or (fleet.qos and not _is_complete(account, fleet)):
        raise BenchError(f"what was stored does not add up: {account}")
    return judge


def settled(dsn: str, ledger: Ledger) -> Judge:
    """The judgement, right or wrong, once everything is stored or nothing more comes for a while.

    Raises:
        OracleError: the database could not be read.
    """
    patience_seconds = _PATIENCE_SECONDS[ledger.fleet.qos]
    stored, changed_at = -1, time.monotonic()
    while True:
        judge = asyncio.run(examine(dsn, ledger))
        account = judge.account()
        if account.stored_readings > stored:
            stored, changed_at = account.stored_readings, time.monotonic()
        patient = time.monotonic() - changed_at <= patience_seconds
        if not patient or _is_complete(account, ledger.fleet):
            return judge
        time.sleep(_PAUSE_SECONDS)


def _is_complete(account: Account, fleet: Fleet) -> bool:
    return account.stored_readings == account.published * fleet.values_per_message
