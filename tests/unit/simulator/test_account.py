"""An account says whether a run holds, to people and to programs."""

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from penstock_simulator.account import Account, Latency, TenantAccount, combined
from penstock_simulator.statement import print_account
from tests.support.records import ACCOUNT

GOOD = msgspec.structs.replace(ACCOUNT, tenants={})


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


def test_what_is_allowed_after_a_crash_is_told_but_is_no_fault() -> None:
    account = msgspec.structs.replace(GOOD, restamped=4, repeated_dead_letters=7)
    assert account.holds
    assert "allowed after a crash" not in printed(GOOD)
    assert "readings stamped on receipt twice" in printed(account)
    assert "repeated dead letters" in printed(account)


def test_an_unknown_latency_is_said_in_words() -> None:
    account = msgspec.structs.replace(GOOD, latency_ms=Latency(None, None))
    assert "unknown without track_commit_timestamp" in printed(account)
    assert account.report()["latency_ms"] == {"p50": None, "p99": None}


def tenant_with(lost: int) -> TenantAccount:
    return TenantAccount(
        published=10,
        acknowledged=9,
        expected_readings=8,
        stored_readings=7,
        lost=lost,
        dead_lettered=2,
    )


def test_accounts_of_several_fleets_add_up() -> None:
    one = msgspec.structs.replace(GOOD, tenants={"a": tenant_with(1), "b": tenant_with(0)}, lost=1)
    two = msgspec.structs.replace(
        GOOD, tenants={"b": tenant_with(5)}, lost=5, dead_lettered={"malformed": 1, "too_deep": 2}
    )
    whole = combined([one, two], Latency(1.0, 2.0))
    assert (whole.published, whole.lost, whole.latency_ms) == (2_000, 6, Latency(1.0, 2.0))
    assert whole.dead_lettered == {"malformed": 6, "too_deep": 2}
    assert {name: tenant.lost for name, tenant in whole.tenants.items()} == {"a": 1, "b": 5}
    assert [tenant.published for tenant in whole.tenants.values()] == [10, 20]


def test_latency_is_of_all_waits() -> None:
    assert Latency.of(np.arange(1_000, 102_000, 1_000)) == Latency(51.0, 100.0)
    assert Latency.of(np.zeros(0, dtype=np.int64)) == Latency(None, None)
