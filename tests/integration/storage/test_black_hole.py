"""Every wait for the database has a limit: each is begun, and nothing answers any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from structlog.testing import capture_logs

from penstock.clock import SystemClock
from penstock.errors import Retryable
from penstock.observability.metrics import StorageCounts
from penstock.registry.known import KnownDevices
from penstock.settings.secret import Secret
from penstock.settings.tree import Registry, Storage
from penstock.storage.connection import connect, trial
from penstock.storage.dead_letters import Selection, open_dead_letters
from penstock.storage.latest import Latest
from penstock.storage.migrate import migrate, pending
from penstock.storage.migrations import Migration, shipped_migrations
from penstock.storage.store import TimescaleStore
from tests.support.polling import DEADLINE_SECONDS
from tests.support.readings import NOW_US, Numbering, Reading, batch
from tests.support.tcp_proxy import TcpProxy

LIMIT_SECONDS = 0.5
FIRST, SECOND = Reading(), Reading(ts_us=NOW_US + 1)


@pytest.fixture
async def proxy(schema: str) -> AsyncIterator[TcpProxy]:
    with TcpProxy.before(schema) as proxy:
        yield proxy
        # The driver may have come once more, to cancel what was under way: whoever comes now is
        # taken after it.
        proxy.hangs, proxy.hangs_at = False, None
        await (await asyncpg.connect(proxy.through(schema))).close()


@pytest.fixture
def storage(schema: str, proxy: TcpProxy) -> Storage:
    return Storage(dsn=Secret(proxy.through(schema)), timeout_seconds=LIMIT_SECONDS)


async def expect_a_limit(work: Callable[[], Awaitable[object]]) -> None:
    """See the work end by itself, for want of an answer."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(Retryable, match=r"in time|cannot be reached|connection .*lost"):
            await work()


@pytest.mark.parametrize(
    "hangs_at",
    [b"penstock\0", b"find_series", b"begin;", b"PGCOPY"],
    ids=["connect", "find series", "begin and COPY", "its data and COMMIT"],
)
async def test_storing_ends_at_whatever_point_the_connection_dies(
    proxy: TcpProxy, storage: Storage, hangs_at: bytes
) -> None:
    store = TimescaleStore(storage, StorageCounts())
    numbering = Numbering()
    if hangs_at != b"penstock\0":
        await store.store(batch(FIRST, numbering=numbering))
    proxy.hangs_at = b"with ordinality" if hangs_at == b"find_series" else hangs_at
    readings = [SECOND, Reading("humidity")] if hangs_at == b"find_series" else [SECOND]

    await expect_a_limit(lambda: store.store(batch(*readings, numbering=numbering)))

    assert proxy.hangs, "the test has missed the point"
    assert not store.status.connected
    await store.close()


async def test_what_was_tried_is_not_taken_back_from_a_database_that_is_silent(
    proxy: TcpProxy, storage: Storage
) -> None:
    patient_seconds = 100 * DEADLINE_SECONDS
    connection = await connect(storage.dsn, patient_seconds)

    async def try_something() -> None:
        async with asyncio.timeout(LIMIT_SECONDS), trial(connection, patient_seconds):
            proxy.hangs = True
            await connection.execute("select")

    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(TimeoutError):
            await try_something()
    connection.terminate()


async def test_a_sign_of_life_is_not_waited_for(proxy: TcpProxy, storage: Storage) -> None:
    store = TimescaleStore(storage, StorageCounts())
    assert (await store.check()).connected
    proxy.hangs = True

    async with asyncio.timeout(DEADLINE_SECONDS):
        assert not (await store.check()).connected
    await store.close()


@pytest.mark.parametrize("connected", [False, True])
async def test_latest_is_written_later(
    proxy: TcpProxy, storage: Storage, *, connected: bool
) -> None:
    latest = Latest(storage, SystemClock())
    store = TimescaleStore(storage, StorageCounts(), latest)
    await store.store(batch(FIRST))
    if connected:
        await latest.flush()
        await store.store(batch(SECOND))
    proxy.hangs = True

    with capture_logs() as logs:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await latest.close()

    assert [log["event"] for log in logs] == ["latest_not_written"]
    await store.close()


@pytest.mark.parametrize("connected", [False, True])
async def test_reading_the_registered_devices_ends(
    proxy: TcpProxy, storage: Storage, *, connected: bool
) -> None:
    devices = KnownDevices(storage, Registry())
    if connected:
        await devices.refresh()
    proxy.hangs = True

    await expect_a_limit(devices.refresh)


async def test_reading_dead_letters_ends(proxy: TcpProxy, storage: Storage) -> None:
    async with open_dead_letters(storage.dsn, LIMIT_SECONDS) as letters:
        proxy.hangs = True
        await expect_a_limit(lambda: letters.count(Selection()))


@pytest.mark.parametrize(
    "hangs_at",
    [b"penstock\0", b"to_regclass", b"from schema_migrations"],
    ids=["connect", "is there a schema", "read it"],
)
async def test_looking_at_the_schema_ends(
    proxy: TcpProxy, storage: Storage, hangs_at: bytes
) -> None:
    proxy.hangs_at = hangs_at

    await expect_a_limit(lambda: pending(storage.dsn, answer_seconds=LIMIT_SECONDS))

    assert proxy.hangs, "the test has missed the point"


@pytest.mark.parametrize(
    "hangs_at", [b"create extension", b"of tomorrow"], ids=["extension", "migration"]
)
async def test_a_migration_that_nobody_answers_ends_though_it_may_take_hours(
    proxy: TcpProxy, storage: Storage, hangs_at: bytes
) -> None:
    shipped = shipped_migrations()
    slow = Migration(len(shipped) + 1, "9999_slow.sql", "select pg_sleep(0) /* of tomorrow */")
    proxy.hangs_at = hangs_at

    await expect_a_limit(
        lambda: migrate(storage.dsn, [*shipped, slow], answer_seconds=LIMIT_SECONDS)
    )

    assert proxy.hangs, "the test has missed the point"


async def test_a_migration_that_takes_longer_than_an_answer_is_let_finish(
    proxy: TcpProxy, storage: Storage
) -> None:
    shipped = shipped_migrations()
    slow = Migration(len(shipped) + 1, "9999_slow.sql", f"select pg_sleep({3 * LIMIT_SECONDS})")

    applied = await migrate(storage.dsn, [*shipped, slow], answer_seconds=LIMIT_SECONDS)

    assert applied == [slow.name]
