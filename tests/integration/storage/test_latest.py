import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.clock import SystemClock
from penstock.model import Batch
from penstock.observability.metrics import StorageCounts
from penstock.settings.tree import Storage
from penstock.storage import latest as latest_module
from penstock.storage.latest import Latest
from penstock.storage.store import TimescaleStore
from tests.support.database import Database
from tests.support.polling import until
from tests.support.readings import NOW_US, Numbering, Reading, batch


@pytest.fixture
async def latest(storage: Storage, inspect: Database) -> AsyncIterator[Latest]:
    latest = Latest(storage, SystemClock())
    yield latest
    await latest.close()


@pytest.fixture
async def store(
    storage: Storage, counts: StorageCounts, latest: Latest
) -> AsyncIterator[TimescaleStore]:
    store = TimescaleStore(storage, counts, latest)
    yield store
    await store.close()


async def newest(inspect: Database) -> list[tuple[str, int, float, int]]:
    rows = await inspect.rows(
        "select metric, (extract(epoch from ts) * 1000000)::bigint, value, quality"
        " from latest join series using (series_id) order by metric"
    )
    return [(metric, ts_us - NOW_US, value, quality) for metric, ts_us, value, quality in rows]


async def seen(inspect: Database) -> list[tuple[str, int | None]]:
    rows = await inspect.rows(
        "select name, (extract(epoch from last_seen_at) * 1000000)::bigint from devices order by 1"
    )
    return [(name, None if at is None else at - NOW_US) for name, at in rows]


def at(ts: int, value: float = 0.0, metric: str = "a", quality: int = 192) -> Reading:
    return Reading(metric, NOW_US + ts, value, quality=quality)


async def test_the_newest_of_what_was_stored_is_written(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    numbering = Numbering()
    await store.store(batch(at(2, 1.0), at(5, 2.0, quality=64), at(3), numbering=numbering))
    await store.store(batch(at(4, 3.0), at(1, 4.0, "b"), numbering=numbering))
    assert await newest(inspect) == [], "no batch pays for it"

    await latest.flush()

    assert await newest(inspect) == [("a", 5, 2.0, 64), ("b", 1, 4.0, 192)]


async def test_an_older_reading_never_replaces_a_newer_one(
    store: TimescaleStore, storage: Storage, latest: Latest, inspect: Database
) -> None:
    await store.store(batch(at(5, 1.0)))
    await latest.flush()
    restarted = Latest(storage, SystemClock())
    other = TimescaleStore(storage, StorageCounts(), restarted)

    await other.store(batch(at(4, 2.0)))
    await restarted.close()
    assert await newest(inspect) == [("a", 5, 1.0, 192)]

    await other.store(batch(at(6, 3.0)))
    await restarted.close()
    assert await newest(inspect) == [("a", 6, 3.0, 192)]
    await other.close()


async def test_a_device_was_last_seen_when_anything_of_it_was_received(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    for received, reading in enumerate(
        [
            Reading(device="number"),
            Reading(device="late", ts_us=NOW_US - 10**9),
            Reading(device="text", value="on"),
            Reading(device="again"),
            Reading(device="again"),
        ]
    ):
        await store.store(batch(reading, received_us=NOW_US + received))

    await latest.flush()

    assert await seen(inspect) == [("again", 4), ("late", 1), ("number", 0), ("text", 2)]


async def test_a_device_is_not_seen_earlier_than_it_was(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    await store.store(batch(at(1), received_us=NOW_US + 9))
    await latest.flush()
    await store.store(batch(at(2), received_us=NOW_US + 3))
    await latest.flush()

    assert await seen(inspect) == [("pump-1", 9)]


async def test_what_the_database_refused_is_not_the_latest(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    poison = batch(at(1), Reading("text", value="\0"))
    with pytest.raises(Exception, match="22021"):
        await store.store(poison)

    await latest.flush()

    assert await newest(inspect) == []


async def test_what_could_not_be_written_is_written_later(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    numbering = Numbering()
    await store.store(batch(at(1, 1.0), at(1, 1.0, "b"), numbering=numbering))
    await inspect.run("alter table latest rename to hidden")
    await latest.flush()
    await store.store(batch(at(2, 2.0, "b"), numbering=numbering))
    await inspect.run("alter table hidden rename to latest")

    await latest.flush()

    assert await newest(inspect) == [("a", 1, 1.0, 192), ("b", 2, 2.0, 192)]


async def test_writing_that_is_cancelled_loses_nothing(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    await store.store(batch(at(1, 1.0)))
    await inspect.run("begin; lock table latest in access exclusive mode")
    flushing = asyncio.create_task(latest.flush())
    await inspect.waiting_session()

    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    await inspect.run("commit")

    await latest.flush()
    assert await newest(inspect) == [("a", 1, 1.0, 192)]


async def test_a_lost_connection_loses_nothing_and_asks_for_the_numbers_of_series_anew(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    numbering = Numbering()
    await store.store(batch(at(1, 1.0), at(1, 1.0, "b"), numbering=numbering))
    await latest.flush()
    await store.store(batch(at(2, 2.0), at(2, 2.5, "b"), numbering=numbering))
    for session in await inspect.sessions():
        await inspect.run(f"select pg_terminate_backend({session})")
    await until(lambda: not store.status.connected, "the loss is noticed")
    # What a restore from a backup can do: the same names, other numbers.
    await inspect.run("""
        truncate series, latest restart identity;
        insert into series (device_id, metric)
        select device_id, metric from devices, unnest('{b,a}'::text[]) as metric
    """)

    await latest.flush()
    await latest.flush()

    assert await newest(inspect) == [("a", 2, 2.0, 192), ("b", 2, 2.5, 192)]


async def test_a_series_deleted_meanwhile_holds_nothing_up(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    await store.store(batch(at(1), at(1, metric="b")))
    await inspect.run("delete from series where metric = 'a'")

    await latest.flush()

    assert await newest(inspect) == [("b", 1, 0.0, 192)]


async def test_series_of_an_index_that_was_given_up_are_written_and_forgotten(
    store: TimescaleStore, latest: Latest, inspect: Database
) -> None:
    await store.store(batch(at(1)))
    await store.store(batch(at(2)))
    await store.store(batch(at(1, metric="b")))

    await latest.flush()

    assert await newest(inspect) == [("a", 2, 0.0, 192), ("b", 1, 0.0, 192)]
    assert len(latest._pending) == 1


async def test_daemons_that_write_the_same_series_at_once_do_not_deadlock(
    storage: Storage, inspect: Database
) -> None:
    readings = [Reading(device=f"d{number}") for number in range(500)]
    batches: list[Batch] = [batch(*readings), batch(*reversed(readings))]
    both = [Latest(storage, SystemClock()) for _ in batches]
    stores = [TimescaleStore(storage, StorageCounts(), latest) for latest in both]
    for store, made in zip(stores, batches, strict=True):
        await store.store(made)

    await asyncio.gather(*(latest.flush() for latest in both))

    assert await inspect.value("select count(*) from latest") == len(readings)
    assert not any(latest._failing for latest in both)
    for latest, store in zip(both, stores, strict=True):
        await latest.close()
        await store.close()


async def test_it_is_written_by_itself(
    store: TimescaleStore, latest: Latest, inspect: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest_module, "INTERVAL_SECONDS", 0.01)
    running = asyncio.create_task(latest.run())

    await store.store(batch(at(1)))
    await inspect.until_rows("select 1 from latest")

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
