import pytest
from structlog.testing import capture_logs

from penstock.errors import Refusal, Refused, Retryable
from penstock.observability.metrics import StorageCounts
from penstock.storage.status import Standing

LOCKED = Retryable("the database did not answer in time")
DENIED = Refused(Refusal.PERMISSION, "the role lacks a privilege")
WRONG = Refused(Refusal.SCHEMA, "the schema is another")
DOWN = Retryable("nobody answers")


@pytest.mark.parametrize("error", [DENIED, LOCKED])
def test_a_database_that_answers_and_takes_no_batches_is_not_well(error: Retryable) -> None:
    standing = Standing(StorageCounts())
    standing.failed_to_store(error)
    standing.answered()
    assert standing.reached.connected
    assert (standing.status.connected, standing.status.detail) == (False, str(error))

    standing.took_batch()
    assert standing.status.connected


def test_what_is_refused_to_a_sign_of_life_is_over_with_the_next() -> None:
    standing = Standing(StorageCounts())
    standing.failed(DENIED)
    assert not standing.status.connected

    standing.answered()
    assert standing.status.connected


def test_an_outage_goes_before_a_refusal_and_does_not_end_it() -> None:
    standing = Standing(StorageCounts())
    standing.failed_to_store(DENIED)
    standing.failed(DOWN)
    assert standing.status.detail == str(DOWN)

    standing.answered()
    assert standing.status.detail == str(DENIED)


def test_every_refusal_is_counted_and_each_kind_told_once_until_all_is_well() -> None:
    counts = StorageCounts()
    standing = Standing(counts)
    with capture_logs() as logs:
        for error in (DENIED, WRONG, DOWN, DENIED, WRONG):
            standing.failed_to_store(error)
            standing.answered()
        standing.took_batch()
        standing.failed_to_store(DENIED)

    assert [(log["event"], log.get("cause")) for log in logs] == [
        ("database_refuses", "permission"),
        ("database_refuses", "schema"),
        ("database_connected", None),
        ("database_refuses", "permission"),
    ]
    assert counts.refusals[Refusal.PERMISSION] == 3
    assert counts.refusals[Refusal.SCHEMA] == 2


def test_a_lock_is_told_once_however_often_the_database_answers_meanwhile() -> None:
    standing = Standing(StorageCounts())
    standing.answered()
    with capture_logs() as logs:
        for _ in range(3):
            standing.failed_to_store(LOCKED)
            standing.answered()
        standing.took_batch()

    assert [log["event"] for log in logs] == ["database_unavailable", "database_connected"]


def test_an_outage_is_told_when_it_begins_and_ends() -> None:
    standing = Standing(StorageCounts())
    with capture_logs() as logs:
        for tell in (standing.answered, lambda: standing.failed(DOWN)):
            tell()
            tell()
        standing.answered()

    assert [log["event"] for log in logs] == [
        "database_connected",
        "database_unavailable",
        "database_connected",
    ]


@pytest.mark.parametrize("somebody_first", [True, False])
def test_what_is_refused_to_somebody_else_as_well_is_told_once(somebody_first: bool) -> None:
    standing = Standing(StorageCounts())
    ways = [standing.complain, standing.failed]
    with capture_logs() as logs:
        for tell in ways if somebody_first else reversed(ways):
            tell(DENIED)
        standing.complain(Refused(DENIED.refusal, "the role lacks another privilege"))
    assert [log["reason"] for log in logs] == [str(DENIED), "the role lacks another privilege"]
