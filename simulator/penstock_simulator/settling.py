"""Waits until a database has all of a run, or has stopped getting more of it."""

import asyncio
import time
from collections.abc import Callable, Sequence

from penstock_simulator.judge import Judge
from penstock_simulator.ledger import Ledger
from penstock_simulator.oracle import examine

PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.5


async def settled(
    dsn: str, ledgers: Sequence[Ledger], *, check: Callable[[], None] = lambda: None
) -> list[Judge]:
    """A judge for each ledger, once nothing is missing or nothing more has arrived for a while.

    Args:
        dsn: the database.
        ledgers: what was sent.
        check: raises when waiting is vain.

    Raises:
        OracleError: the database could not be reached or read.
    """
    best, changed_at = -1, time.monotonic()
    while True:
        judges = [await examine(dsn, ledger) for ledger in ledgers]
        accounts = [judge.account() for judge in judges]
        arrived = sum(a.stored_readings + sum(a.dead_lettered.values()) for a in accounts)
        if arrived > best:
            best, changed_at = arrived, time.monotonic()
        check()
        lost = any(account.lost for account in accounts)
        if not lost or time.monotonic() - changed_at > PATIENCE_SECONDS:
            return judges
        await asyncio.sleep(_PAUSE_SECONDS)
