import asyncpg
import pytest

from penstock.errors import PoisonError, Refusal, Refused, Retryable
from penstock.storage.verdict import (
    UNKNOWN,
    VERDICTS,
    Family,
    is_lost_connection,
    judge,
    judged,
    refusal_of_place,
    verdict_of,
)

SQLSTATES = sorted(
    sqlstate
    for sqlstate in (getattr(kind, "sqlstate", None) for kind in vars(asyncpg.exceptions).values())
    if sqlstate is not None
)


def error_with(sqlstate: str, severity: str = "ERROR") -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"S": severity, "C": sqlstate, "M": "what the server says"})


@pytest.mark.parametrize(
    "sqlstate",
    [
        "08000", "08003", "08006", "23503", "23505", "25P02", "25P03", "40001", "40P01", "53200",
        "53300", "55006", "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "TS003", "TS503",
    ],
)  # fmt: skip
def test_what_passes_by_itself_is_retried_without_alarm(sqlstate: str) -> None:
    error = judge(error_with(sqlstate))

    assert isinstance(error, Retryable)
    assert not isinstance(error, Refused)
    assert sqlstate in str(error)
    assert "what the server says" in str(error)


@pytest.mark.parametrize(
    ("sqlstate", "refusal"),
    [
        ("08P01", Refusal.SCHEMA),
        ("0A000", Refusal.UNSUPPORTED),
        ("0P000", Refusal.PERMISSION),
        ("22P03", Refusal.SCHEMA),
        ("25006", Refusal.READ_ONLY),
        ("26000", Refusal.UNSUPPORTED),
        ("28000", Refusal.LOGIN),
        ("28P01", Refusal.LOGIN),
        ("3D000", Refusal.DATABASE),
        ("42501", Refusal.PERMISSION),
        ("42703", Refusal.SCHEMA),
        ("42P01", Refusal.SCHEMA),
        ("42P05", Refusal.UNSUPPORTED),
        ("53100", Refusal.DISK_FULL),
        ("58030", Refusal.SERVER_FAULT),
        ("TS001", Refusal.SCHEMA),
        ("XX000", Refusal.SERVER_FAULT),
        ("ZZ999", Refusal.UNKNOWN),
    ],
)
def test_what_a_person_has_to_see_to_is_refused(sqlstate: str, refusal: Refusal) -> None:
    error = judge(error_with(sqlstate))

    assert isinstance(error, Refused)
    assert error.refusal is refusal
    assert sqlstate in str(error)
    assert "what the server says" in str(error)


@pytest.mark.parametrize("sqlstate", ["22003", "22021", "23502", "23514", "54000", "P0001"])
def test_a_fault_of_the_data_is_poison_with_its_sqlstate(sqlstate: str) -> None:
    error = judge(error_with(sqlstate))

    assert isinstance(error, PoisonError)
    assert error.sqlstate == sqlstate
    assert "what the server says" in error.detail


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_only_what_names_the_data_is_poison(sqlstate: str) -> None:
    poison = verdict_of(sqlstate).family is Family.POISON

    assert poison <= (sqlstate[:2] in {"20", "22", "23", "44", "54", "P0"})


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_what_is_refused_says_what_to_see_to(sqlstate: str) -> None:
    verdict = verdict_of(sqlstate)
    named = verdict.refusal is not Refusal.UNKNOWN

    assert named == (verdict.family in {Family.REFUSED, Family.PLACE}) or verdict is UNKNOWN


def test_a_poolers_own_errors_are_not_taken_for_those_of_the_schema() -> None:
    error = judge(error_with("08P01", severity="FATAL"))

    assert not isinstance(error, Refused)
    assert "pooler" in str(error)


def test_a_place_that_refuses_while_others_accept_is_poison() -> None:
    error = refusal_of_place(error_with("0A000"))

    assert error.sqlstate == "0A000"
    assert "what the server says" in error.detail


@pytest.mark.parametrize("sqlstate", [key for key in VERDICTS if len(key) == 5])
def test_a_line_for_an_sqlstate_goes_before_that_of_its_class(sqlstate: str) -> None:
    assert verdict_of(sqlstate) is VERDICTS[sqlstate]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("unexpected message"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
    ],
)
def test_a_lost_connection_is_retried(error: Exception) -> None:
    with pytest.raises(Retryable) as caught, judged():
        raise error

    assert caught.value.__cause__ is error


def test_what_cannot_be_encoded_is_poison() -> None:
    with pytest.raises(PoisonError) as caught, judged():
        "\ud800".encode()

    assert caught.value.sqlstate == "22000"


def test_a_bug_of_ours_is_nobody_elses_fault() -> None:
    with pytest.raises(ZeroDivisionError), judged():
        _ = 1 / 0


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("cannot call Transaction.rollback(): the connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 21; another operation (2) is running"),
    ],
)
def test_the_drivers_own_confusion_reads_as_a_lost_connection(error: Exception) -> None:
    text = str(judge(error))

    assert text.startswith("the connection to the database was lost")
    assert "state 21" not in text


@pytest.mark.parametrize("kind", [asyncpg.InterfaceError, asyncpg.InternalClientError])
def test_the_servers_reason_is_told_rather_than_what_it_led_to(kind: type[Exception]) -> None:
    error = kind("cannot switch to state 21")
    error.__context__ = error_with("57P01")

    assert "57P01" in str(judge(error))


def test_only_the_drivers_word_for_it_is_a_lost_connection() -> None:
    assert is_lost_connection(asyncpg.ConnectionDoesNotExistError("closed in the middle"))
    assert is_lost_connection(asyncpg.InterfaceError("connection is closed"))
    assert not is_lost_connection(error_with("42P01"))
    assert not is_lost_connection(ZeroDivisionError())
    assert not is_lost_connection(None)
