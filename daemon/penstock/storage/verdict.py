"""Says of every error that the database or its driver can raise which family it belongs to.

This is the only place that decides so. What always holds: an error that may be the fault of the
surroundings is `Retryable`, so that a restart, a failover or a forgotten migration never turns good
readings into dead letters; only an error that names the data is `PoisonError`. What no line of the
table knows is retried, because that loses nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import NamedTuple

import asyncpg

from penstock.errors import PenstockError, PoisonError, Retryable

UNENCODABLE = "22000"
"""SQLSTATE data_exception, for data that cannot even be encoded for the server."""


class Family(Enum):
    """What to do about an error."""

    RETRY = auto()
    POISON = auto()


class Verdict(NamedTuple):
    """The family of an SQLSTATE, and what an operator has to know about it."""

    family: Family
    advice: str


MIGRATE = "the schema is not the one that this version writes to; run `penstock migrate`"

VERDICTS: dict[str, Verdict] = {
    "08": Verdict(Family.RETRY, "the connection was lost"),
    "08P01": Verdict(Family.RETRY, MIGRATE),
    "22": Verdict(Family.POISON, "the value cannot be stored"),
    "2200H": Verdict(Family.RETRY, "an identity column has no numbers left"),
    "22P03": Verdict(Family.RETRY, MIGRATE),
    "22P04": Verdict(Family.RETRY, MIGRATE),
    "23": Verdict(Family.POISON, "a constraint refuses the value"),
    "23503": Verdict(Family.RETRY, "a tenant, device or series was deleted meanwhile"),
    "23505": Verdict(Family.RETRY, "another session stored the same row at the same moment"),
    "25006": Verdict(Family.RETRY, "the database is read-only: a standby, or out of disk"),
    "28": Verdict(Family.RETRY, "the database refuses the user or the password"),
    "3D": Verdict(Family.RETRY, "the database does not exist; create it"),
    "3F": Verdict(Family.RETRY, MIGRATE),
    "40": Verdict(Family.RETRY, "the transaction collided with another"),
    "42": Verdict(Family.RETRY, MIGRATE),
    "42501": Verdict(Family.RETRY, "the role lacks a privilege; grant it"),
    "44": Verdict(Family.POISON, "a view's check option refuses the value"),
    "53": Verdict(Family.RETRY, "the database server is out of disk, memory or connections"),
    "54000": Verdict(Family.POISON, "the value is too large for an index"),
    "55": Verdict(Family.RETRY, "another session holds what is needed"),
    "57": Verdict(Family.RETRY, "the database server stopped the work"),
    "58": Verdict(Family.RETRY, "the database server has a fault in its files"),
    "P0": Verdict(Family.POISON, "a trigger refuses the value"),
    "XX": Verdict(Family.RETRY, "the database server reports a fault of its own"),
}
"""By SQLSTATE or by its class, which are its first two characters (PostgreSQL, appendix A)."""

UNKNOWN = Verdict(Family.RETRY, "the database refused the work")


@contextmanager
def judged() -> Iterator[None]:
    """Turn what the driver, the server or the network raises into `Retryable` or `PoisonError`."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        UnicodeEncodeError,
        OverflowError,
    ) as error:
        raise judge(error) from error


def judge(error: Exception) -> PenstockError:
    """The error that the code above storage is to see in place of `error`."""
    match error:
        case asyncpg.PostgresError(sqlstate=str(sqlstate)):
            return _judge_sqlstate(sqlstate, error)
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return _judge_driver(error)
        case UnicodeEncodeError() | OverflowError():
            return PoisonError(UNENCODABLE, f"the value cannot be encoded: {error}")
        case TimeoutError():
            return Retryable("the database did not answer in time")
        case _:
            return Retryable(f"the database cannot be reached: {_text(error)}")


def is_lost_connection(error: object) -> bool:
    """Whether this is how the driver says that a connection is gone."""
    return isinstance(error, (asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError))


def verdict_of(sqlstate: str) -> Verdict:
    """What the table says of an SQLSTATE: its own line, else that of its class."""
    return VERDICTS.get(sqlstate) or VERDICTS.get(sqlstate[:2], UNKNOWN)


def _judge_sqlstate(sqlstate: str, error: asyncpg.PostgresError) -> PenstockError:
    verdict = verdict_of(sqlstate)
    if verdict.family is Family.POISON:
        return PoisonError(sqlstate, f"{verdict.advice}: {_text(error)}")
    return Retryable(f"{verdict.advice} ({sqlstate}: {_text(error)})")


def _judge_driver(error: Exception) -> PenstockError:
    if isinstance(error.__context__, asyncpg.PostgresError):
        # Leaving a transaction whose connection is gone hides why it is.
        return judge(error.__context__)
    lost = "the connection to the database was lost"
    if isinstance(error, asyncpg.InternalClientError):
        # Its text is about states of the driver, which tell an operator nothing.
        return Retryable(lost)
    return Retryable(f"{lost} ({_text(error)})")


def _text(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line) or type(error).__name__
