"""The ledger balances when every reading is accounted for, and says so when one is not."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.ledger import MAX_TENANTS, NO_TENANT, OTHER_TENANTS, Account, Ledger

COLUMNS = ("stored", "duplicate", "dead_lettered", "in_flight", "spooled", "shed")


@given(st.lists(st.sampled_from(COLUMNS)))
def test_readings_that_end_in_any_column_balance(ends: list[str]) -> None:
    account = Account()
    for column in ends:
        account.received += 1
        setattr(account, column, getattr(account, column) + 1)
    assert account.imbalance == 0


def test_a_lost_reading_is_an_imbalance_and_so_is_one_counted_twice() -> None:
    ledger = Ledger()
    ledger.account("well").received = 5
    ledger.account("well").stored = 5
    ledger.account("lost").received = 5
    ledger.account("lost").stored = 4
    ledger.account("twice").stored = 1
    assert ledger.imbalances() == {"lost": 1, "twice": -1}


def test_a_tenant_has_one_account() -> None:
    ledger = Ledger()
    assert ledger.account("a") is ledger.account("a")
    assert ledger.account("a") is not ledger.account("b")


def test_tenants_beyond_the_bound_share_an_account_and_stay_there() -> None:
    ledger = Ledger()
    first = [ledger.account(f"tenant-{n}") for n in range(MAX_TENANTS)]
    beyond = ledger.account("one-more")
    assert beyond is ledger.account("yet-another") is ledger.account(OTHER_TENANTS)
    assert all(beyond is not account for account in first)
    assert ledger.account("tenant-0") is first[0]
    assert ledger.account(None) is ledger.account(NO_TENANT)
    assert len(ledger.accounts) == MAX_TENANTS + 2


def test_the_totals_sum_every_column_over_all_tenants() -> None:
    ledger = Ledger()
    for tenant in (None, "a", "b"):
        account = ledger.account(tenant)
        for value, column in enumerate(Account.__struct_fields__):
            setattr(account, column, value)
    assert ledger.totals() == Account(*(3 * value for value in range(7)))
