"""Reads what a database holds of some series, and which dead letters it has.

It reads the tables and not the view that people use, in one snapshot, and writes nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import numpy as np
from numpy.typing import NDArray

from penstock.model import SeriesKey
from penstock_simulator.copy_rows import RowParser
from penstock_simulator.fleet import Numbers
from penstock_simulator.oracle import commit_times, snapshot
from penstock_simulator.rows import Rows

_TEXTS_AT_ONCE = 10_000

_SERIES = """
select series_id, tenants.name as tenant, devices.name as device, metric
from series
join devices using (device_id)
join tenants using (tenant_id)
where $1 or (tenants.name, devices.name) in (select * from unnest($2::text[], $3::text[]))
"""
_WITHIN = """
series_id = any($1::integer[]) and (
    ts between 'epoch'::timestamptz + $2::bigint * interval '1 us'
        and 'epoch'::timestamptz + $3::bigint * interval '1 us'
    or ts between 'epoch'::timestamptz + $4::bigint * interval '1 us'
        and 'epoch'::timestamptz + $5::bigint * interval '1 us')
"""
_ROWS = f"select series_id, quality, ts, value, xmin from readings where {_WITHIN}"  # noqa: S608
_TEXTS = f"""
select series_id, (extract(epoch from ts) * 1000000)::bigint as ts_us, value,
    xmin::text::bigint as transaction
from readings_text where {_WITHIN}
"""  # noqa: S608 - the text is ours, and every value is bound
_LETTERS = """
select reason, count(*) from dead_letters
where received_at >= 'epoch'::timestamptz + $1::bigint * interval '1 us' and topic = any($2::text[])
group by reason
"""


class Span(NamedTuple):
    """A span of time, both ends included, in µs since the epoch."""

    first_us: int
    last_us: int


class StoredRows(NamedTuple):
    """Rows of one of the two tables, in columns."""

    series: Numbers
    """By the numbers that were asked for; -1 for another."""
    ts_us: Numbers
    value: NDArray[np.generic]
    quality: Numbers
    transaction: Numbers
    """The transaction that wrote each row."""


class Stored(NamedTuple):
    """What was found."""

    numbers: StoredRows
    texts: StoredRows
    letters: dict[str, int]
    """By reason."""
    commits: "Commits | None"
    """None where the database does not keep them."""


class Commits(NamedTuple):
    """When transactions were committed."""

    transactions: Numbers
    """Ascending."""
    committed_us: Numbers
    """0 where that is not known."""

    def of(self, transactions: Numbers) -> Numbers:
        """Those of some of the transactions."""
        found: Numbers = self.committed_us[np.searchsorted(self.transactions, transactions)]
        return found


class Query(NamedTuple):
    """What to look for."""

    series: Sequence[SeriesKey]
    readings: Span
    """When the readings are of that carry their own time."""
    stamps: Span
    """When the others were received."""
    topics: Sequence[str]
    """Of dead letters, received since the beginning of `stamps`."""
    everything: bool
    """Whether to look at all series, not only those that are named."""


async def read_stored(dsn: str, query: Query) -> Stored:
    """Read it.

    Raises:
        OracleError: the database could not be reached or read.
    """
    async with snapshot(dsn) as connection:
        return await _read(connection, query)


async def _read(connection: asyncpg.Connection, query: Query) -> Stored:
    ids, numbers = await _series(connection, query)
    within = (ids.tolist(), *query.readings, *query.stamps)

    def named(series_ids: Numbers) -> Numbers:
        found: Numbers = numbers[np.searchsorted(ids, series_ids)]
        return found

    letters = await _letters(connection, query.topics, query.stamps.first_us)
    numeric = await _numbers(connection, within, named)
    texts = await _texts(connection, within, named)
    transactions = np.unique(np.concatenate([numeric.transaction, texts.transaction]))
    committed_us = await commit_times(connection, transactions)
    commits = None if committed_us is None else Commits(transactions, committed_us)
    return Stored(numeric, texts, letters, commits)


async def _letters(
    connection: asyncpg.Connection, topics: Sequence[str], since_us: int
) -> dict[str, int]:
    return dict(map(tuple, await connection.fetch(_LETTERS, since_us, list(topics))))


async def _series(connection: asyncpg.Connection, query: Query) -> tuple[Numbers, Numbers]:
    """The ids of the series, ascending, and the number of each."""
    wanted = {key: number for number, key in enumerate(query.series)}
    devices = sorted({(key.tenant, key.device) for key in query.series})
    tenants, names = [tenant for tenant, _ in devices], [name for _, name in devices]
    records = await connection.fetch(_SERIES, query.everything, tenants, names)
    found = sorted(
        (series_id, wanted.get(SeriesKey(*key), -1)) for series_id, *key in map(tuple, records)
    )
    columns = np.array(found, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


async def _numbers(
    connection: asyncpg.Connection, within: tuple[Any, ...], named: Any
) -> StoredRows:
    parser = RowParser()
    parts: list[Rows] = []

    async def take(data: bytes) -> None:
        rows = parser.feed(data)
        if rows is not None:
            parts.append(rows)

    await connection.copy_from_query(_ROWS, *within, output=take, format="binary")
    return StoredRows(
        named(_joined([part.series_id for part in parts])),
        _joined([part.ts_us for part in parts]),
        np.concatenate([np.zeros(0), *(part.value for part in parts)]),
        _joined([part.quality for part in parts if part.quality is not None]),
        _joined([part.transaction for part in parts]),
    )


async def _texts(connection: asyncpg.Connection, within: tuple[Any, ...], named: Any) -> StoredRows:
    columns: list[list[Any]] = [[], [], [], []]
    cursor = await connection.cursor(_TEXTS, *within)
    while records := await cursor.fetch(_TEXTS_AT_ONCE):
        for column, part in zip(columns, zip(*records, strict=True), strict=True):
            column.extend(part)
    series_id, ts_us, value, transaction = columns
    return StoredRows(
        named(np.array(series_id, dtype=np.int64)),
        np.array(ts_us, dtype=np.int64),
        np.array(value, dtype=object),
        np.zeros(len(value), dtype=np.int64),
        np.array(transaction, dtype=np.int64),
    )


def _joined(parts: list[Numbers]) -> Numbers:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
