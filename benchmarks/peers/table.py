"""The table that all peers write to, in a database of its own for each measurement.

All have the same columns and an index over the same of them. It is unique where a peer can say
`on conflict do nothing`. Where it cannot, one message that comes twice would cost it a whole batch,
so there the index is not unique, and what came twice is counted as such.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from penstock.sandbox.databases import execute
from penstock_simulator.stack import fresh_database

_SCHEMA = Path(__file__).with_name("table.sql")
_INDEX = "create {} index on sensor_readings (tenant, device, metric, ts)"


@contextmanager
def peer_database(server_dsn: str, *, unique: bool) -> Iterator[str]:
    """The DSN of a database with the empty table, which is dropped on leaving."""
    with fresh_database(server_dsn) as dsn:
        execute(dsn, _SCHEMA.read_text(), _INDEX.format("unique" if unique else ""))
        yield dsn


def row_count(dsn: str) -> int:
    """How many rows there are."""
    return asyncio.run(_row_count(dsn))


async def _row_count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from sensor_readings"))
    finally:
        await connection.close()
