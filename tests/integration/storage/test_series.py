import asyncio

import asyncpg
import pytest

from penstock.model import SeriesIndex, SeriesKey
from penstock.observability.metrics import StorageCounts
from penstock.settings.tree import Storage
from penstock.storage import series as series_module
from penstock.storage.connection import connect
from penstock.storage.series import forget, resolve
from penstock.storage.store import TimescaleStore
from tests.support.database import Database
from tests.support.readings import NOW_US, Reading, batch


def index_of(*keys: SeriesKey, unit: str | None = None) -> SeriesIndex:
    index = SeriesIndex()
    for key in keys:
        index.add(key, unit)
    return index


def grid(tenants: int, devices: int, metrics: int) -> list[SeriesKey]:
    return [
        SeriesKey(f"t{tenant}", f"d{device}", f"m{metric}")
        for tenant in range(tenants)
        for device in range(devices)
        for metric in range(metrics)
    ]


async def resolve_all(storage: Storage, index: SeriesIndex) -> None:
    connection = await connect(storage.dsn, 20.0)
    await resolve(connection, index, range(len(index)), 20.0)
    await connection.close()


async def test_new_series_are_created_with_their_device_tenant_and_unit(
    storage: Storage, inspect: Database
) -> None:
    index = index_of(SeriesKey("acme", "pump-1", "temperature"), unit="°C")

    await resolve_all(storage, index)

    assert await inspect.rows(
        "select series_id, tenants.name, devices.name, metric, unit"
        " from series join devices using (device_id) join tenants using (tenant_id)"
    ) == [(int(index.ids[0]), "acme", "pump-1", "temperature", "°C")]


async def test_a_known_series_is_found_and_stays_as_it_is(
    storage: Storage, inspect: Database
) -> None:
    key = SeriesKey("acme", "pump-1", "temperature")
    first, second = index_of(key, unit="°C"), index_of(key, unit="K")
    await resolve_all(storage, first)

    await resolve_all(storage, second)

    assert second.ids[0] == first.ids[0]
    assert await inspect.rows("select unit from series") == [("°C",)]


async def test_resolving_what_exists_uses_up_no_numbers(
    storage: Storage, inspect: Database
) -> None:
    index = index_of(*grid(2, 3, 4))
    await resolve_all(storage, index)
    for _ in range(3):
        forget(index)
        await resolve_all(storage, index)

    newcomer = index_of(SeriesKey("t9", "d9", "m9"))
    await resolve_all(storage, newcomer)

    assert newcomer.ids[0] == 2 * 3 * 4 + 1
    assert await inspect.value("select max(device_id) from devices") == 2 * 3 + 1
    assert await inspect.value("select max(tenant_id) from tenants") == 2 + 1


async def test_any_number_of_series_is_resolved(
    storage: Storage, inspect: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_module, "SERIES_AT_ONCE", 7)
    index = index_of(*grid(2, 5, 3))

    await resolve_all(storage, index)

    rows = await inspect.rows(
        "select tenants.name, devices.name, metric, series_id"
        " from series join devices using (device_id) join tenants using (tenant_id)"
    )
    assert {SeriesKey(*names): number for *names, number in rows} == {
        key: int(index.ids[number]) for number, key in enumerate(index.keys)
    }


async def test_daemons_that_create_the_same_series_at_once_agree_on_their_numbers(
    storage: Storage, inspect: Database
) -> None:
    keys = grid(5, 8, 10)
    indexes = [index_of(*keys[shift:], *keys[:shift]) for shift in (0, 130, 260, 399)]

    await asyncio.gather(*(resolve_all(storage, index) for index in indexes))

    numbers = [
        {key: int(index.ids[number]) for number, key in enumerate(index.keys)} for index in indexes
    ]
    assert all(found == numbers[0] for found in numbers)
    assert sorted(numbers[0].values()) == [
        series_id for (series_id,) in await inspect.rows("select series_id from series order by 1")
    ]


async def test_everybody_creates_in_the_same_order_whatever_came_first(
    storage: Storage, inspect: Database
) -> None:
    keys = grid(3, 4, 5)
    index = index_of(*keys[::-7], *keys[1::3], *keys)

    await resolve_all(storage, index)

    for table, number, order in [
        ("tenants", "tenant_id", "name"),
        ("devices", "device_id", "tenant_id, name"),
        ("series", "series_id", "device_id, metric"),
    ]:
        as_created = await inspect.rows(f"select {order} from {table} order by {number}")
        assert as_created == sorted(as_created), table


async def test_writers_with_new_devices_in_opposite_orders_do_not_deadlock(
    storage: Storage, inspect: Database
) -> None:
    readings = [Reading(device=f"d{at}", metric=f"m{at % 3}") for at in range(300)]
    stores = [TimescaleStore(storage, StorageCounts()) for _ in range(4)]
    orders = [readings, readings[::-1], readings[150:] + readings[:150], readings[::2]]

    await asyncio.gather(
        *(store.store(batch(*order)) for store, order in zip(stores, orders, strict=True))
    )

    assert len(await inspect.numbers()) == len(readings)
    for store in stores:
        await store.close()


async def test_devices_that_differ_in_case_or_accent_are_different(
    store: TimescaleStore, inspect: Database
) -> None:
    readings = [Reading(device=device) for device in ("E", "e", "e\u0301", "\u00e9")]

    await store.store(batch(*readings))

    assert await inspect.numbers() == readings


async def test_series_stay_when_the_batch_that_brought_them_is_refused(
    storage: Storage, store: TimescaleStore, inspect: Database
) -> None:
    bad = Reading("bad", value="nul \0", ts_us=NOW_US)
    with pytest.raises(Exception, match="22021"):
        await store.store(batch(Reading(), bad))

    assert await inspect.rows("select metric from series order by 1") == [
        ("bad",),
        ("temperature",),
    ]
    assert await inspect.numbers() == []


async def test_what_a_series_needs_cannot_be_deleted_under_it(
    store: TimescaleStore, inspect: Database
) -> None:
    await store.store(batch(Reading()))

    for table in ("tenants", "devices"):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await inspect.run(f"delete from {table}")
