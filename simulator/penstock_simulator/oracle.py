"""Reads a database for the judge, and reports what it finds.

It reads the tables and not the view that people use, in one snapshot, in chunks that take little
memory however many rows there are. It writes nothing.

Latency is exact and disturbs nobody: PostgreSQL notes when each transaction was committed (where
`track_commit_timestamp` is on), and each row has the id of its transaction, so the time of commit
of every reading can be read afterwards.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import numpy as np

from penstock_simulator.account import Account
from penstock_simulator.copy_rows import RowParser
from penstock_simulator.fleet import Numbers, Series
from penstock_simulator.judge import Judge
from penstock_simulator.ledger import Ledger
from penstock_simulator.letters import Letter
from penstock_simulator.rows import Rows

_LETTERS_AT_ONCE = 50
_TEXTS_AT_ONCE = 10_000
_CONNECT_SECONDS = 10.0

# All names of a run end with its tag, so rows that strayed to another tenant are found as well.
_SERIES = """
select series_id, tenants.name as tenant, devices.name as device, metric
from series
join devices using (device_id)
join tenants using (tenant_id)
where tenants.name like '%' || $1 or devices.name like '%' || $1
"""
_ROWS = """
select series_id, quality, ts, value, xmin from readings where series_id = any($1::integer[])
"""
_TEXTS = """
select series_id, (extract(epoch from ts) * 1000000)::bigint as ts_us, value,
    xmin::text::bigint as transaction
from readings_text where series_id = any($1::integer[])
"""
_LETTERS = """
select reason, substring(payload for 262144) as payload, device, topic
from dead_letters
where tenant like '%' || $1 or device like '%' || $1 or position($2::bytea in payload) > 0
"""
_COMMITS = """
select xid::text::bigint as transaction,
    (extract(epoch from pg_xact_commit_timestamp(xid)) * 1000000)::bigint as committed_us
from unnest($1::text[]::xid[]) as xid
"""


class OracleError(Exception):
    """The database could not be read; the text says why."""


async def examine(dsn: str, ledger: Ledger) -> Judge:
    """Feed what a database holds of a run to a judge.

    Raises:
        OracleError: the database could not be reached or read.
    """
    async with snapshot(dsn) as connection:
        return await _examine(connection, ledger)


async def verify(dsn: str, ledger: Ledger) -> Account:
    """The account of a run.

    Raises:
        OracleError: the database could not be reached or read.
    """
    return (await examine(dsn, ledger)).account()


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that sees one moment of a database, and writes nothing.

    Raises:
        OracleError: the database could not be reached or read.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise OracleError(f"the database could not be read: {error}") from error


async def _examine(connection: asyncpg.Connection, ledger: Ledger) -> Judge:
    tag = ledger.fleet.tag
    records = await connection.fetch(_SERIES, tag)
    series = {record["series_id"]: Series(*tuple(record)[1:]) for record in records}
    judge = Judge(ledger, series)
    await _feed_rows(connection, judge, list(series))
    await _feed_texts(connection, judge, list(series))
    async for letters in _letters(connection, tag):
        judge.add_letters(letters)
    await _feed_commits(connection, judge)
    return judge


async def _feed_rows(connection: asyncpg.Connection, judge: Judge, series: list[int]) -> None:
    parser = RowParser()

    async def take(data: bytes) -> None:
        rows = parser.feed(data)
        if rows is not None:
            judge.add_rows(rows)

    await connection.copy_from_query(_ROWS, series, output=take, format="binary")


async def _feed_texts(connection: asyncpg.Connection, judge: Judge, series: list[int]) -> None:
    cursor = await connection.cursor(_TEXTS, series)
    while records := await cursor.fetch(_TEXTS_AT_ONCE):
        series_id, ts_us, value, transaction = zip(*records, strict=True)
        judge.add_rows(
            Rows(
                series_id=np.array(series_id, dtype=np.int64),
                ts_us=np.array(ts_us, dtype=np.int64),
                value=np.array(value, dtype=object),
                quality=None,
                transaction=np.array(transaction, dtype=np.int64),
            )
        )


async def _letters(connection: asyncpg.Connection, tag: str) -> AsyncIterator[Iterator[Letter]]:
    cursor = await connection.cursor(_LETTERS, tag, f"sim-{tag}-".encode())
    while records := await cursor.fetch(_LETTERS_AT_ONCE):
        yield (Letter(*record) for record in records)


async def _feed_commits(connection: asyncpg.Connection, judge: Judge) -> None:
    times = await commit_times(connection, judge.transactions)
    if times is not None:
        judge.learn_commits(times)


async def commit_times(connection: asyncpg.Connection, transactions: Numbers) -> Numbers | None:
    """When each transaction was committed, in µs since the epoch; 0 where that is not known.

    None where the database does not keep it.
    """
    if await connection.fetchval("show track_commit_timestamp") != "on":
        return None
    records = await connection.fetch(_COMMITS, [str(number) for number in transactions.tolist()])
    committed = {record["transaction"]: record["committed_us"] or 0 for record in records}
    return np.array([committed[number] for number in transactions.tolist()], dtype=np.int64)
