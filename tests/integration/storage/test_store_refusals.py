"""What a real server refuses until somebody acts, and what it refuses for a reading's place."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs

from penstock.errors import PoisonError, Reason, Refusal, Refused, Retryable
from penstock.model import DeadLetter
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.bisect import store_whole
from penstock.settings.secret import Secret
from penstock.settings.tree import Storage
from penstock.storage import copying
from penstock.storage.connection import Connection
from penstock.storage.store import TimescaleStore
from tests.support.database import Database, as_role
from tests.support.readings import NOW_US, Reading, batch

DAY_US = 86_400_000_000
OLD = Reading(ts_us=NOW_US - 30 * DAY_US)
NEW = Reading(ts_us=NOW_US)
OLD_STATE = Reading("state", value="on", ts_us=OLD.ts_us)
LETTER = DeadLetter(
    received_us=NOW_US, topic="t", payload=b"{", reason=Reason.MALFORMED, detail="not JSON"
)
FREEZE = """
    update _timescaledb_catalog.chunk set status = {status} where table_name in
    (select chunk_name from timescaledb_information.chunks where hypertable_name = '{table}')
"""
"""What freeze_chunk() and unfreeze_chunk() do, which the Apache edition does not offer."""
FROZEN, WRITABLE = 4, 0
"""Of TimescaleDB's chunk.h."""
RESTRICT = """
    do $$ begin
        create role {role} login password '{role}';
        grant select, insert, update, delete on all tables in schema public to {role};
        alter table {table} enable row level security;
        create policy everything on {table} using (true);
    end $$
"""
LOCK = "begin; lock table readings in access exclusive mode"


@pytest.fixture
async def inspect(schema: str) -> AsyncIterator[Database]:
    """Another session in the store's database, which is this test's own."""
    connection = await asyncpg.connect(schema)
    yield Database(connection)
    await connection.close()


@pytest.fixture
def counts() -> StorageCounts:
    return StorageCounts()


@pytest.fixture
async def store(
    schema: str, counts: StorageCounts, inspect: Database
) -> AsyncIterator[TimescaleStore]:
    store = TimescaleStore(Storage(dsn=Secret(schema), timeout_seconds=20.0), counts)
    yield store
    await store.close()


async def freeze(inspect: Database, store: TimescaleStore) -> None:
    """Freeze the chunks of the old readings."""
    await store.store(batch(OLD, OLD_STATE))
    for table in ("readings", "readings_text"):
        await inspect.run(FREEZE.format(table=table, status=FROZEN))


@pytest.mark.parametrize("duplicates", [False, True])
async def test_readings_of_a_frozen_chunk_become_dead_letters_and_the_others_are_stored(
    store: TimescaleStore, inspect: Database, counts: StorageCounts, *, duplicates: bool
) -> None:
    await freeze(inspect, store)
    if duplicates:
        await store.store(batch(NEW))
    late = [OLD._replace(ts_us=OLD.ts_us + 1), OLD_STATE._replace(ts_us=OLD.ts_us + 1)]
    others = [NEW._replace(ts_us=NEW.ts_us + at) for at in range(3)]

    outcome = await store_whole(store.store, batch(*others, *late, dead_letters=[LETTER]), counts)

    refused = [letter for letter in outcome.dead_letters if letter.reason is Reason.STORAGE_ERROR]
    assert ["frozen" in letter.detail for letter in refused] == [True, True]
    assert outcome.inserted == {"acme": 3 - duplicates}
    assert await inspect.value("select count(*) from readings") == 4
    assert await inspect.rows(
        "select reason, sqlstate is null from dead_letters order by reason"
    ) == [("malformed", True), ("storage_error", False), ("storage_error", False)]
    assert store.status.connected
    assert not any(counts.refusals.values())


async def test_a_frozen_chunk_of_the_present_is_waited_for(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    now = Reading(ts_us=await inspect.value("select (extract(epoch from now())*1000000)::bigint"))
    await store.store(batch(now))
    await inspect.run(FREEZE.format(table="readings", status=FROZEN))
    later = now._replace(ts_us=now.ts_us + 1)

    with pytest.raises(Refused, match="frozen") as caught:
        await store.store(batch(later))

    assert counts.refusals[caught.value.refusal] == 1
    await inspect.run(FREEZE.format(table="readings", status=WRITABLE))
    assert (await store.store(batch(later))).inserted == {"acme": 1}


@pytest.mark.parametrize("table", ["readings", "dead_letters"])
async def test_what_is_refused_to_every_reading_makes_no_dead_letter(
    schema: str, inspect: Database, table: str
) -> None:
    role = f"penstock_role_{await inspect.value('select current_database()')}"
    await inspect.run(RESTRICT.format(role=role, table=table))
    restricted = Storage(dsn=Secret(as_role(schema, role)), timeout_seconds=20.0)
    store = TimescaleStore(restricted, StorageCounts())
    try:
        await inspect.run("select register_device('acme', 'pump-1')")
        await inspect.run(
            "insert into series (device_id, metric) select device_id, 'temperature' from devices"
        )

        # COPY does not work under row-level security, whatever the policy says.
        with pytest.raises(Refused, match="row-level security"):
            await store.store(batch(NEW, dead_letters=[LETTER]))

        await inspect.run(f"alter table {table} disable row level security")
        assert (await store.store(batch(NEW, dead_letters=[LETTER]))).inserted == {"acme": 1}
    finally:
        await store.close()
        await inspect.run(f"drop owned by {role}; drop role {role}")


async def test_a_refusal_is_told_once_until_a_batch_is_stored_and_no_sign_of_life_ends_it(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    with capture_logs() as logs:
        await store.store(batch(NEW._replace(ts_us=NOW_US - 1)))
        await inspect.run("drop view telemetry; alter table readings rename to elsewhere")
        for _ in range(3):
            with pytest.raises(Refused, match="penstock migrate"):
                await store.store(batch(NEW))
            assert (await store.check()).connected
            assert not store.status.connected
            assert "42P01" in store.status.detail
        await inspect.run("alter table elsewhere rename to readings")
        await store.store(batch(NEW))

    assert store.status.connected
    assert counts.refusals[Refusal.SCHEMA] == 3
    told = [(log["log_level"], log["event"]) for log in logs]
    assert told == [
        ("info", "database_connected"),
        ("error", "database_refuses"),
        ("info", "database_connected"),
    ]


async def test_dead_letters_that_are_refused_are_waited_for(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    await inspect.run("alter table dead_letters add constraint no check (reason <> 'malformed')")

    with pytest.raises(Refused, match="refuses dead letters; mend its schema") as caught:
        await store_whole(store.store, batch(NEW, dead_letters=[LETTER]), counts)

    assert caught.value.refusal is Refusal.DEAD_LETTERS
    assert not store.status.connected
    await inspect.run("alter table dead_letters drop constraint no")
    await store_whole(store.store, batch(NEW, dead_letters=[LETTER]), counts)
    assert store.status.connected
    assert await inspect.value("select count(*) from dead_letters") == 1


async def test_nothing_is_left_in_the_servers_session(
    store: TimescaleStore, inspect: Database
) -> None:
    """Behind a pooler the session is the next client's."""
    await store.store(batch(NEW, OLD_STATE))
    await store.store(batch(NEW, OLD_STATE, dead_letters=[LETTER]))
    (session,) = store._idle
    connection = session._connection

    settings = "select name from pg_settings where source = 'session'"
    assert [row["name"] for row in await connection.fetch(settings)] == []
    assert await connection.fetchval("select count(*) from pg_prepared_statements") == 0


async def test_a_transaction_that_was_given_up_is_not_taken_for_committed(
    store: TimescaleStore, inspect: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send_and_give_up(connection: Connection, statements: str, data: memoryview) -> str:
        return await send(connection, statements.replace(";\ncommit", ";\nrollback"), data)

    send = copying.send
    monkeypatch.setattr(copying, "send", send_and_give_up)
    with pytest.raises(Retryable, match="not committed"):
        await store.store(batch(NEW))

    assert await inspect.value("select count(*) from readings") == 0


async def test_a_staged_transaction_that_was_given_up_is_not_taken_for_committed(
    store: TimescaleStore, inspect: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.store(batch(OLD))

    async def copy_and_fail(connection: Connection, copy: copying.Copy) -> None:
        await copying.copy_rows(connection, copy)
        if copy.table == "dead_letters":
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute("select 1 / 0")

    monkeypatch.setattr("penstock.storage.session.copy_rows", copy_and_fail)
    with pytest.raises(Retryable, match="not committed"):
        await store.store(batch(OLD, NEW, dead_letters=[LETTER]))

    assert await inspect.value("select count(*) from readings") == 1


async def test_a_value_that_is_refused_everywhere_is_poison_in_a_frozen_chunk_too(
    store: TimescaleStore, inspect: Database
) -> None:
    await inspect.run("alter table readings add check (value <> 13)")
    await freeze(inspect, store)

    with pytest.raises(PoisonError):
        await store.store(batch(OLD._replace(ts_us=OLD.ts_us + 1, value=13.0)))
