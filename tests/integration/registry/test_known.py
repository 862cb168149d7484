import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs

from penstock.errors import Retryable
from penstock.registry.known import KnownDevices
from penstock.sandbox.ports import free_port
from penstock.settings.secret import Secret
from penstock.settings.tree import Registry, Storage
from tests.support.database import Database
from tests.support.polling import until


@pytest.fixture
async def inspect(schema: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(schema)
    yield Database(connection)
    await connection.close()


@pytest.fixture
async def known(schema: str) -> AsyncIterator[KnownDevices]:
    known = KnownDevices(
        Storage(dsn=Secret(schema), timeout_seconds=20.0), Registry(refresh_seconds=0.01)
    )
    yield known
    known.close()


async def register(inspect: Database, *devices: str, tenant: str = "acme") -> None:
    for device in devices:
        await inspect.connection.fetchval("select register_device($1, $2)", tenant, device)


async def test_only_registered_devices_are_known(known: KnownDevices, inspect: Database) -> None:
    await register(inspect, "pump-1", "pump-2")
    await register(inspect, "pump-3", tenant="emca")

    await known.load()

    assert len(known) == 3
    assert known.is_registered("acme", "pump-2")
    assert known.is_registered("emca", "pump-3")
    assert not known.is_registered("emca", "pump-2")
    assert not known.is_registered("acme", "pump")


async def test_new_devices_are_learnt_and_change_the_generation(
    known: KnownDevices, inspect: Database
) -> None:
    await register(inspect, "pump-1")
    await known.load()
    before = known.generation
    await known.refresh()
    assert known.generation == before, "nothing was new"

    await register(inspect, "pump-2")
    await known.refresh()

    assert known.is_registered("acme", "pump-2")
    assert known.generation != before


async def test_a_device_that_becomes_visible_after_a_later_one_is_learnt(
    known: KnownDevices, inspect: Database, schema: str
) -> None:
    await register(inspect, "first")
    slow = await asyncpg.connect(schema)
    transaction = slow.transaction()
    await transaction.start()
    await slow.fetchval("select register_device('acme', 'slow')")
    await register(inspect, "quick")
    await known.load()
    await known.refresh()
    assert not known.is_registered("acme", "slow")

    await transaction.commit()
    await known.refresh()

    assert known.is_registered("acme", "slow")
    await slow.close()


async def test_a_deleted_device_is_unlearnt(known: KnownDevices, inspect: Database) -> None:
    await register(inspect, "pump-1", "pump-2", "pump-3")
    await known.load()
    before = known.generation

    await inspect.run("delete from devices where name = 'pump-2'")
    await known.refresh()

    assert not known.is_registered("acme", "pump-2")
    assert known.is_registered("acme", "pump-3")
    assert known.generation != before


async def test_what_is_known_outlives_the_database(known: KnownDevices, inspect: Database) -> None:
    await register(inspect, "pump-1")
    await known.load()
    await inspect.run("alter table devices rename to hidden")

    with pytest.raises(Retryable):
        await known.refresh()

    assert known.is_registered("acme", "pump-1")
    await inspect.run("alter table hidden rename to devices")
    await register(inspect, "pump-2")
    await known.refresh()
    assert known.is_registered("acme", "pump-2")


async def test_it_keeps_itself_up_to_date(known: KnownDevices, inspect: Database) -> None:
    await known.load()
    running = asyncio.create_task(known.run())
    await inspect.run("alter table devices rename to hidden")
    await until(lambda: known._failing, "a refresh fails")
    await inspect.run("alter table hidden rename to devices")

    await register(inspect, "pump-1")

    await until(lambda: known.is_registered("acme", "pump-1"), "the new device is known")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_loading_waits_for_the_database() -> None:
    nowhere = Secret(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")
    known = KnownDevices(Storage(dsn=nowhere), Registry(refresh_seconds=0.01))

    loading = asyncio.create_task(known.load())
    await until(lambda: known._failing, "the first attempt fails")

    assert not loading.done()
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)


async def test_why_nothing_can_be_loaded_is_known_until_it_is(
    known: KnownDevices, inspect: Database
) -> None:
    await inspect.run("alter table devices rename to hidden")
    with capture_logs() as logs:
        loading = asyncio.create_task(known.load())
        await until(lambda: known.fault, "the first attempt fails")
    assert "run `penstock migrate`" in known.fault
    assert [(log["event"], log["log_level"]) for log in logs] == [("devices_not_read", "error")]

    await inspect.run("alter table hidden rename to devices")
    await loading
    assert not known.fault
