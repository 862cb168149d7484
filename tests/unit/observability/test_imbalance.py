"""A standing imbalance is said once, and again only after the ledger was balanced."""

import structlog

from penstock.observability.imbalance import STANDING_TICKS, StandingImbalance
from penstock.observability.ledger import Ledger


def test_an_imbalance_that_stays_is_logged_once() -> None:
    ledger = Ledger()
    watch = StandingImbalance(ledger)
    with structlog.testing.capture_logs() as logged:
        ledger.account("acme").received = 3
        for _ in range(STANDING_TICKS - 1):
            watch.tick()
        assert logged == []
        for _ in range(10):
            watch.tick()
        ledger.account("acme").stored = 3
        watch.tick()
        assert [line["event"] for line in logged] == ["ledger_imbalance"]
        assert (logged[0]["log_level"], logged[0]["readings"]) == ("error", 3)
        ledger.account("acme").stored = 4
        for _ in range(STANDING_TICKS):
            watch.tick()
        assert len(logged) == 2


def test_a_ledger_that_balances_again_in_time_is_not_logged() -> None:
    ledger = Ledger()
    watch = StandingImbalance(ledger)
    with structlog.testing.capture_logs() as logged:
        for ticks in range(20):
            ledger.account("acme").received = int(ticks % STANDING_TICKS != 0)
            watch.tick()
    assert logged == []
