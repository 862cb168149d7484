import asyncpg
import pytest

from penstock.errors import PoisonError, Retryable
from penstock.storage.verdict import VERDICTS, Family, judge, judged, verdict_of

SQLSTATES = sorted(
    sqlstate
    for sqlstate in (getattr(kind, "sqlstate", None) for kind in vars(asyncpg.exceptions).values())
    if sqlstate is not None
)


def error_with(sqlstate: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "what the server says"})


@pytest.mark.parametrize(
    "sqlstate",
    ["08006", "25006", "40001", "40P01", "42501", "42P01", "53100", "55P03", "57014", "57P01"],
)
def test_a_fault_of_the_surroundings_is_retried(sqlstate: str) -> None:
    error = judge(error_with(sqlstate))

    assert isinstance(error, Retryable)
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

    assert poison <= (sqlstate[:2] in {"22", "23", "44", "54", "P0"})


def test_what_nobody_has_heard_of_is_retried() -> None:
    assert verdict_of("ZZ999").family is Family.RETRY


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
