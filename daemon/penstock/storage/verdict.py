"""Says of every error that the database or its driver can raise which family it belongs to.

This is the only place that decides so. What always holds: an error that may be the fault of the
surroundings is `Retryable`, so that a restart, a failover or a forgotten migration never turns good
readings into dead letters; only an error that names the data is `PoisonError`. Where waiting does
not help, the error is `Refused`, which is tried again like the others, and is told to a person with
what to do. What no line of the table knows is such a case: trying it again loses nothing, and
keeping quiet about it would.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import NamedTuple

import asyncpg

from penstock.errors import PenstockError, PoisonError, Refusal, Refused, Retryable

UNENCODABLE = "22000"
"""SQLSTATE data_exception, for data that cannot even be encoded for the server."""


class Family(Enum):
    """What to do about an error."""

    RETRY = auto()
    """It passes."""
    REFUSED = auto()
    """It is the surroundings, and a person has to act."""
    PLACE = auto()
    """It is the place of the data, if others are accepted, and then poison; else as `REFUSED`."""
    POISON = auto()
    """It is the data."""


class Verdict(NamedTuple):
    """The family of an SQLSTATE, and what an operator has to know about it."""

    family: Family
    advice: str
    refusal: Refusal = Refusal.UNKNOWN
    """What a person has to see to, where one has to."""


def _retry(advice: str) -> Verdict:
    return Verdict(Family.RETRY, advice)


def _refused(refusal: Refusal, advice: str) -> Verdict:
    return Verdict(Family.REFUSED, advice, refusal)


def _place(refusal: Refusal, advice: str) -> Verdict:
    return Verdict(Family.PLACE, advice, refusal)


def _poison(advice: str) -> Verdict:
    return Verdict(Family.POISON, advice)


_SCHEMA = _refused(
    Refusal.SCHEMA, "the schema is not the one that this version writes to; run `penstock migrate`"
)
_LOGIN = _refused(Refusal.LOGIN, "the database refuses the user or the password; see storage.dsn")
_POOLED = _refused(
    Refusal.UNSUPPORTED,
    "something between Penstock and the database mixes up their sessions; see docs/pgbouncer.md",
)
_DAMAGED = _place(
    Refusal.SERVER_FAULT, "the database's files are damaged or missing; see the server's log"
)

VERDICTS: dict[str, Verdict] = {
    "08": _retry("the connection was lost"),
    # A binary COPY into columns of other types than ours. The same code is that of all errors of a
    # pooler's own (see `_judge_sqlstate`).
    "08P01": _SCHEMA,
    # TimescaleDB raises this for one chunk, which is tiered, or frozen in newer releases
    # (chunk_tuple_routing.c), and PostgreSQL for a whole table: COPY under row-level security.
    "0A": _place(
        Refusal.UNSUPPORTED,
        "the place of the reading takes no writes: a chunk is frozen, or the table is restricted",
    ),
    "0L": _refused(Refusal.PERMISSION, "the role lacks a privilege; grant it"),
    "0P": _refused(Refusal.PERMISSION, "the role does not exist any more"),
    # Raised by CASE in a trigger.
    "20": _poison("a trigger refuses the value"),
    "22": _poison("the value cannot be stored"),
    "2200H": _refused(Refusal.SCHEMA, "an identity column has no numbers left"),
    # What COPY sends is right for our columns, so that the columns are others.
    "22P03": _SCHEMA,
    "22P04": _SCHEMA,
    "23": _poison("a constraint refuses the value"),
    "23503": _retry("a tenant, device or series was deleted meanwhile"),
    # Readings that are there already never come here: staging leaves them out.
    "23505": _retry("another session stored the same row at the same moment"),
    "25": _retry("the transaction had ended before"),
    "25006": _refused(Refusal.READ_ONLY, "the database is read-only: a standby, or out of disk"),
    "26": _POOLED,
    "28": _LOGIN,
    "3D": _refused(Refusal.DATABASE, "the database does not exist; create it"),
    "3F": _SCHEMA,
    "40": _retry("the transaction collided with another"),
    "42": _SCHEMA,
    "42501": _refused(Refusal.PERMISSION, "the role lacks a privilege; grant it"),
    "42P05": _POOLED,
    "44": _poison("a view's check option refuses the value"),
    "53": _retry("the database server is out of memory or connections"),
    "53100": _refused(Refusal.DISK_FULL, "the database server's disk is full; make room"),
    # TimescaleDB's, when one transaction would unpack too much of a compressed chunk: halves pass.
    "53400": _place(Refusal.UNSUPPORTED, "a limit that the server is configured with is exceeded"),
    "54000": _poison("the value is too large for an index"),
    "55": _refused(Refusal.UNSUPPORTED, "the table is not in a state to be written to"),
    "55006": _retry("another session holds what is needed"),
    "55P03": _retry("another session holds what is needed"),
    "57": _retry("the database server stopped the work"),
    "58": _refused(Refusal.SERVER_FAULT, "the database server has a fault in its files"),
    # The files of one chunk, or of the whole database.
    "58P01": _DAMAGED,
    "72": _retry("the transaction was too slow"),
    "HV": _refused(Refusal.UNSUPPORTED, "a table is on another server, which fails"),
    "P0": _poison("a trigger refuses the value"),
    # TimescaleDB's own (its errors.h): of hypertables that are none, and of chunks in the making.
    "TS": _SCHEMA,
    "TS003": _retry("a chunk was dropped meanwhile"),
    "TS503": _retry("a chunk was created at the same moment"),
    # Of anything at all, a frozen chunk among them up to TimescaleDB 2.19 at least.
    "XX": _place(Refusal.SERVER_FAULT, "the database server reports a fault of its own"),
    # A page of a table or an index: mostly of one chunk.
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
"""By SQLSTATE or by its class, which are its first two characters (PostgreSQL, appendix A)."""

UNKNOWN = _refused(Refusal.UNKNOWN, "the database refuses the work for a reason unknown here")
POOLER = _retry("a connection pooler in front of the database reports a fault")


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


def refusal_of_place(error: asyncpg.PostgresError) -> PoisonError:
    """What an error of the family `PLACE` is once other data was accepted."""
    sqlstate = error.sqlstate or ""
    return PoisonError(sqlstate, f"{verdict_of(sqlstate).advice}: {_text(error)}")


def is_lost_connection(error: object) -> bool:
    """Whether this is how the driver says that a connection is gone."""
    return isinstance(error, (asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError))


def verdict_of(sqlstate: str) -> Verdict:
    """What the table says of an SQLSTATE: its own line, else that of its class."""
    return VERDICTS.get(sqlstate) or VERDICTS.get(sqlstate[:2], UNKNOWN)


def _judge_sqlstate(sqlstate: str, error: asyncpg.PostgresError) -> PenstockError:
    verdict = verdict_of(sqlstate)
    if sqlstate == "08P01" and getattr(error, "severity", None) == "FATAL":
        # pgbouncer's only code; the server itself goes on after what it calls so.
        verdict = POOLER
    if verdict.family is Family.POISON:
        return PoisonError(sqlstate, f"{verdict.advice}: {_text(error)}")
    text = f"{verdict.advice} ({sqlstate}: {_text(error)})"
    return Retryable(text) if verdict.family is Family.RETRY else Refused(verdict.refusal, text)


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
