"""Raises the alarm about an imbalance of the ledger that stays.

Columns move in single steps of the event loop, so an imbalance is a defect at any moment; that it
stays for some seconds only makes sure that the line in the log is true. It is logged once, until
the ledger balances again.
"""

import structlog

from penstock.observability.ledger import Ledger

log = structlog.get_logger(__name__)

STANDING_TICKS = 5


class StandingImbalance:
    """Looks at a ledger about once a second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ticks = 0

    def tick(self) -> None:
        """Look, and log an imbalance that was there at the last few looks as well."""
        imbalances = self._ledger.imbalances()
        self._ticks = self._ticks + 1 if imbalances else 0
        if self._ticks == STANDING_TICKS:
            log.error(
                "ledger_imbalance",
                readings=sum(abs(readings) for readings in imbalances.values()),
                tenants=len(imbalances),
                advice="a defect of Penstock: keep the log and the metrics, and report it",
            )
