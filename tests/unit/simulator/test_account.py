"""An account says whether a run holds, to people and to programs."""

import io

import msgspec
import pytest
from rich.console import Console

from penstock_simulator.account import Account, Latency
from penstock_simulator.statement import print_account

GOOD = Account(
    published=1_000,
    acknowledged=1_000,
    expected_readings=2_985,
    stored_readings=2_985,
    lost=0,
    duplicates=0,
    corrupt=0,
    invented=0,
    both=0,
    refused=0,
    misjudged=0,
    dead_lettered={"malformed": 5},
    repeated_dead_letters=0,
    latency_ms=Latency(50.1, 99.9),
    messages_per_second=2_000.0,
    readings_per_second=5_970.0,
)


def printed(account: Account) -> str:
    out = io.StringIO()
    print_account(Console(file=out, width=100), account)
    return out.getvalue()


def test_a_good_account_holds() -> None:
    assert GOOD.holds
    assert "Every reading is accounted for." in printed(GOOD)
    assert "1,000" in printed(GOOD)


@pytest.mark.parametrize("invariant", Account.INVARIANTS)
def test_an_account_with_any_fault_does_not_hold(invariant: str) -> None:
    account = msgspec.structs.replace(GOOD, **{invariant: 3})
    assert account.faults == {invariant: 3}
    assert not account.holds
    assert "It does not add up" in printed(account)


def test_a_report_has_exactly_the_keys_that_others_rely_on() -> None:
    report = GOOD.report()
    assert set(report) == {
        *("published", "acknowledged", "expected_readings", "stored_readings"),
        *("lost", "duplicates", "corrupt", "dead_lettered", "latency_ms"),
        *("messages_per_second", "readings_per_second"),
    }
    assert report["latency_ms"] == {"p50": 50.1, "p99": 99.9}
    assert report["dead_lettered"] == {"malformed": 5}


def test_an_unknown_latency_is_said_in_words() -> None:
    account = msgspec.structs.replace(GOOD, latency_ms=Latency(None, None))
    assert "the database keeps no commit times" in printed(account)
    assert account.report()["latency_ms"] == {"p50": None, "p99": None}
