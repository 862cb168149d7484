"""The verdict on a replay is green only where a loss would have shown."""

import msgspec
import numpy as np

from penstock_simulator.capture.account import ReplayAccount
from penstock_simulator.capture.reconciliation import Reconciliation
from penstock_simulator.capture.statement import verdict
from penstock_simulator.percentiles import Percentiles

NONE = Percentiles.of(np.zeros(0, dtype=np.int64))
NOTHING = Reconciliation(
    expected_readings=0,
    stored_readings=0,
    stored_before=0,
    committed_ms=NONE,
    unconfirmed_readings=0,
    unconfirmed_stored=0,
    lost=0,
    corrupt=0,
    duplicates=0,
    invented=0,
    letters_expected={},
    letters_found={},
    letters_missing=0,
    unrouted_messages=0,
)


def account(*, refused: int = 0, unanswered: int = 0, **found: int) -> ReplayAccount:
    return ReplayAccount(
        captured=10,
        truncated=False,
        rounds=1,
        published=10,
        acknowledged=10 - refused - unanswered,
        unanswered=unanswered,
        refused=refused,
        reconnects=0,
        seconds=1.0,
        messages_per_second=10.0,
        unsent_ms=NONE,
        acknowledged_ms=NONE,
        workload=None,
        reconciliation=msgspec.structs.replace(NOTHING, **found),
    )


def said(told: ReplayAccount) -> str:
    return " ".join(verdict(told))


def test_what_was_acknowledged_and_stored_is_accounted_for() -> None:
    whole = account(expected_readings=10, stored_readings=10)
    assert whole.holds
    assert said(whole) == "[bold green]Every reading is accounted for."


def test_where_all_was_there_before_nothing_is_shown() -> None:
    same = account(expected_readings=10, stored_readings=10, stored_before=10)
    assert same.holds
    assert said(same) == "[bold yellow]All of it was in the database before, so this shows nothing."


def test_all_of_qos_0_and_an_empty_database_does_not_hold() -> None:
    vain = account(unconfirmed_readings=10)
    assert not vain.holds
    assert "[bold red]0 of 10 unconfirmed readings stored; nothing was acknowledged" in said(vain)


def test_all_of_qos_0_and_most_of_it_stored_holds_but_proves_nothing() -> None:
    some = account(unconfirmed_readings=10, unconfirmed_stored=9, stored_readings=9)
    assert some.holds
    assert "9 of 10 unconfirmed readings stored; nothing was acknowledged" in said(some)
    assert "green" not in said(some)


def test_unconfirmed_readings_that_are_missing_are_told_beside_the_others() -> None:
    mixed = account(
        expected_readings=6, unconfirmed_readings=4, unconfirmed_stored=1, stored_readings=7
    )
    assert mixed.holds
    assert "acknowledged reading" in said(mixed)
    assert "1 of 4 unconfirmed" in said(mixed)


def test_what_the_broker_refused_does_not_hold() -> None:
    for refused in (1, 10):
        left = 10 - refused
        told = account(
            refused=refused,
            expected_readings=left,
            stored_readings=left,
            unconfirmed_readings=refused,
        )
        assert not told.holds
        assert f"[bold red]The broker refused {refused} messages." in said(told)
        assert "Every reading is accounted for" not in said(told)


def test_what_the_broker_did_not_answer_is_told() -> None:
    told = account(unanswered=2, expected_readings=8, unconfirmed_readings=2, stored_readings=8)
    assert "did not answer 2 messages" in said(told)
    assert "Every reading is accounted for" not in said(told)
