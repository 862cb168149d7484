"""Gives series their number in the database, creating tenants, devices and series on first sight.

What always holds: a series that another writer or daemon creates at the same moment gets one
number, seen by both; creating never deadlocks, because everybody creates in the same order; and
what is found costs no number. New series commit on their own, before the batch that brought them: a
series without readings harms nobody, and the batch may still be refused.
"""

from collections.abc import Sequence

from penstock.errors import Retryable
from penstock.model import SeriesIndex
from penstock.storage.connection import Connection, transaction
from penstock.storage.queries import query

SERIES_AT_ONCE = 5_000
"""So many are found or created together, and kept even if there is no time for the next."""


async def resolve(
    connection: Connection, index: SeriesIndex, numbers: Sequence[int], limit_seconds: float
) -> None:
    """Fill in `index.ids` for the series with these numbers; a statement has `limit_seconds`.

    Errors: those of the driver, to be judged by the caller; `Retryable` when a series vanished as
    soon as it had been created.
    """
    for start in range(0, len(numbers), SERIES_AT_ONCE):
        some = numbers[start : start + SERIES_AT_ONCE]
        missing = await _find(connection, index, some)
        if missing:
            async with transaction(connection, limit_seconds):
                await _create(connection, index, missing)
                missing = await _find(connection, index, missing)
        if missing:
            raise Retryable(f"{len(missing)} series were deleted while they were being created")


def forget(index: SeriesIndex) -> None:
    """Make all series be asked for anew, because another database may answer from now on."""
    index.ids[:] = SeriesIndex.UNRESOLVED


async def _find(connection: Connection, index: SeriesIndex, numbers: Sequence[int]) -> list[int]:
    """Fill in what the database knows, and return the numbers of the rest."""
    keys = [index.keys[number] for number in numbers]
    found = await connection.fetch(query("find_series"), *map(list, zip(*keys, strict=True)))
    for position, series_id in found:
        index.ids[numbers[position - 1]] = series_id
    return [number for number in numbers if index.ids[number] == index.UNRESOLVED]


async def _create(connection: Connection, index: SeriesIndex, numbers: Sequence[int]) -> None:
    keys = [index.keys[number] for number in numbers]
    tenants, devices, metrics = map(list, zip(*keys, strict=True))
    units = [index.units[number] for number in numbers]
    await connection.execute(query("create_tenants"), tenants)
    await connection.execute(query("create_devices"), tenants, devices)
    await connection.execute(query("create_series"), tenants, devices, metrics, units)
