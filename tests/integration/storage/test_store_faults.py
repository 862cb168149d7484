"""Errors of a real server, each provoked, and what the store makes of them."""

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from penstock import sandbox
from penstock.errors import ConfigError, PoisonError, Reason, Retryable
from penstock.model import Batch, DeadLetter
from penstock.observability.metrics import StorageCounts
from penstock.sandbox.ports import free_port
from penstock.settings.secret import Secret
from penstock.settings.tree import Storage
from penstock.storage.copy_format import OLDEST_US
from penstock.storage.store import TimescaleStore
from tests.support.database import Database, as_role
from tests.support.polling import DEADLINE_SECONDS, until
from tests.support.readings import NOW_US, Numbering, Reading, batch
from tests.support.tcp_proxy import TcpProxy

GOOD = Reading()
LETTER = DeadLetter(
    received_us=NOW_US, topic="t", payload=b"{", reason=Reason.MALFORMED, detail="not JSON"
)
OTHER_TYPE = "drop view telemetry; alter table readings alter value type numeric"
READ_ONLY = """
    do $$ begin
        execute format('alter database %I set default_transaction_read_only = on',
        current_database());
    end $$
"""
IMPATIENT = """
    do $$ begin
        execute format('alter database %I set lock_timeout = 50', current_database());
    end $$
"""
REFUSING_TRIGGER = """
    create function refuse() returns trigger language plpgsql as $$
    begin
        if new.value = 13 then raise exception 'not thirteen'; end if;
        return new;
    end $$;
    create trigger refuse before insert on readings for each row execute function refuse();
"""
LOCK = "begin; lock table readings in access exclusive mode"


@pytest.fixture
async def inspect(schema: str) -> AsyncIterator[Database]:
    """Another session in the store's database, which is this test's own."""
    connection = await asyncpg.connect(schema)
    yield Database(connection)
    await connection.close()


@pytest.fixture
def storage(schema: str) -> Storage:
    return Storage(dsn=Secret(schema), timeout_seconds=20.0)


async def nothing_stored(inspect: Database) -> bool:
    tables = ("readings", "readings_text", "dead_letters")
    return not any([await inspect.rows(f"select 1 from {table}") for table in tables])


@pytest.mark.parametrize(
    ("sqlstate", "advice", "sql"),
    [
        ("42P01", "penstock migrate", "drop view telemetry; drop table readings"),
        ("42703", "penstock migrate", "alter table readings rename quality to q"),
        ("42P01", "penstock migrate", "alter table series rename to other"),
        ("08P01", "penstock migrate", OTHER_TYPE),
        ("25006", "read-only", READ_ONLY),
    ],
)
async def test_a_database_that_cannot_take_any_reading_is_retried_until_it_is_mended(
    storage: Storage, inspect: Database, sqlstate: str, advice: str, sql: str
) -> None:
    await inspect.run(sql)
    store = TimescaleStore(storage, StorageCounts())

    with pytest.raises(Retryable, match=advice) as caught:
        await store.store(batch(GOOD))

    assert sqlstate in str(caught.value)
    assert not store.status.connected
    assert store.status.detail == str(caught.value)
    await store.close()


@pytest.mark.parametrize(
    ("sqlstate", "advice", "sql"),
    [
        ("42501", "grant", "create role {role} login password '{role}'"),
        ("53300", "connections", "create role {role} login password '{role}' connection limit 0"),
        ("28", "refuses the user", "create role {role} nologin password '{role}'"),
        ("28", "refuses the user", ""),
    ],
)
async def test_a_role_that_may_not_is_retried(
    storage: Storage, inspect: Database, sqlstate: str, advice: str, sql: str
) -> None:
    role = f"penstock_role_{await inspect.value('select current_database()')}"
    await inspect.run(sql.format(role=role))
    store = TimescaleStore(with_dsn(storage, lambda dsn: as_role(dsn, role)), StorageCounts())

    with pytest.raises(Retryable, match=advice) as caught:
        await store.store(batch(GOOD))

    assert sqlstate in str(caught.value)
    await store.close()
    await inspect.run(f"drop role if exists {role}")


def with_dsn(storage: Storage, change: Callable[[str], str]) -> Storage:
    return Storage(dsn=Secret(change(storage.dsn.reveal())), timeout_seconds=5.0)


async def test_a_database_that_does_not_exist_is_waited_for(storage: Storage) -> None:
    store = TimescaleStore(with_dsn(storage, lambda dsn: dsn + "_not"), StorageCounts())

    with pytest.raises(Retryable, match="create it"):
        await store.store(batch(GOOD))


@asynccontextmanager
async def tls_server(certificates: sandbox.Certificates) -> AsyncIterator[int]:
    """As much of a database server as there is before a certificate is looked at; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server, certificates.server_key)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        with suppress(OSError):
            await writer.start_tls(context)
        writer.transport.abort()

    async with await asyncio.start_server(greet, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_that_is_not_there_is_waited_for() -> None:
    dsn = Secret(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")
    store = TimescaleStore(Storage(dsn=dsn), StorageCounts())

    with pytest.raises(Retryable, match="cannot be reached"):
        await store.store(batch(GOOD))


async def test_a_server_whose_certificate_is_not_accepted_is_waited_for(tmp_path: Path) -> None:
    certificates = sandbox.make_certificates(tmp_path)
    others = sandbox.make_certificates(tmp_path / "others")
    async with tls_server(certificates) as port:
        dsn = f"postgresql://joe@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert={{}}"
        store = TimescaleStore(Storage(dsn=Secret(dsn.format(others.authority))), StorageCounts())

        with pytest.raises(Retryable, match="certificate verify failed"):
            await store.store(batch(GOOD))


async def test_a_dsn_that_is_none_is_a_fault_of_the_configuration() -> None:
    store = TimescaleStore(Storage(dsn=Secret("mysql://root@localhost/x")), StorageCounts())

    with pytest.raises(ConfigError, match=r"storage\.dsn"):
        await store.store(batch(GOOD))


async def test_a_dsn_that_cannot_be_read_is_not_shown() -> None:
    store = TimescaleStore(Storage(dsn=Secret("postgresql://joe:hunter/2@db/x")), StorageCounts())

    with pytest.raises(ConfigError, match=r"storage\.dsn") as refusal:
        await store.store(batch(GOOD))

    assert "hunter" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    ("sqlstate", "poison", "sql"),
    [
        ("23514", Reading("humidity", value=13.0), "alter table readings add check (value <> 13)"),
        ("P0001", Reading("humidity", value=13.0), REFUSING_TRIGGER),
        ("22021", Reading(value="nul \0"), ""),
        ("22000", Reading(value="half \ud800"), ""),
        ("22021", Reading(metric="nul \0"), ""),
        ("22000", Reading(device="half \ud800"), ""),
        ("23514", Reading(tenant=""), ""),
        ("22008", Reading(ts_us=OLDEST_US - 1), ""),
        ("22008", Reading(ts_us=-(2**63)), ""),
        ("22008", Reading(ts_us=2**63 - 1), ""),
    ],
)
async def test_a_reading_that_the_database_refuses_is_poison_and_nothing_is_stored(
    storage: Storage, inspect: Database, sqlstate: str, poison: Reading, sql: str
) -> None:
    await inspect.run(sql)
    store = TimescaleStore(storage, StorageCounts())

    with pytest.raises(PoisonError) as caught:
        await store.store(batch(GOOD, Reading("state", value="on"), poison, dead_letters=[LETTER]))

    assert caught.value.sqlstate == sqlstate
    assert await nothing_stored(inspect)
    await store.store(batch(GOOD))
    assert await inspect.numbers() == [GOOD]
    assert len(await inspect.sessions()) == 1, "poison is no reason to connect again"
    assert store.status.connected
    await store.close()


async def test_poison_among_duplicates_is_poison(storage: Storage, inspect: Database) -> None:
    await inspect.run("alter table readings add check (value <> 13)")
    store = TimescaleStore(storage, StorageCounts())
    await store.store(batch(GOOD))
    poison = Reading(ts_us=NOW_US + 1, value=13.0)

    with pytest.raises(PoisonError) as caught:
        await store.store(batch(GOOD, poison, dead_letters=[LETTER]))

    assert caught.value.sqlstate == "23514"
    assert await inspect.value("select count(*) from dead_letters") == 0
    await store.close()


async def test_readings_are_not_stored_without_the_dead_letters_of_their_batch(
    storage: Storage, inspect: Database
) -> None:
    await inspect.run("alter table dead_letters add check (reason <> 'malformed')")
    store = TimescaleStore(storage, StorageCounts())

    with pytest.raises(PoisonError):
        await store.store(batch(GOOD, dead_letters=[LETTER]))

    assert await nothing_stored(inspect)
    await store.close()


@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
@pytest.mark.parametrize("made_of", [batch(GOOD), batch(GOOD, dead_letters=[LETTER])])
async def test_a_session_ended_in_the_middle_of_storing_is_retried(
    storage: Storage, inspect: Database, end: str, made_of: Batch
) -> None:
    store = TimescaleStore(storage, StorageCounts())
    await inspect.run(LOCK)
    storing = asyncio.create_task(store.store(made_of))

    waiting = await inspect.waiting_session()
    await inspect.run(f"select {end}({waiting})")
    with pytest.raises(Retryable, match=r"57014|administrator command"):
        await storing
    await inspect.run("commit")

    assert await nothing_stored(inspect)
    stored = await store.store(made_of)
    assert stored.inserted == {"acme": 1}
    assert await inspect.sessions() != [waiting]
    await store.close()


async def test_a_lock_held_too_long_is_retried(storage: Storage, inspect: Database) -> None:
    await inspect.run(IMPATIENT)
    store = TimescaleStore(storage, StorageCounts())
    await inspect.run(LOCK)

    with pytest.raises(Retryable, match="55P03"):
        await store.store(batch(GOOD))

    await inspect.run("commit")
    await store.close()


async def test_a_database_that_does_not_answer_in_time_is_retried_and_leaves_no_session_behind(
    schema: str, inspect: Database
) -> None:
    store = TimescaleStore(Storage(dsn=Secret(schema), timeout_seconds=0.5), StorageCounts())
    await store.store(batch(GOOD))
    await inspect.run(LOCK)

    with pytest.raises(Retryable):
        await store.store(batch(Reading("humidity")))

    await inspect.until_no_session("wait_event_type = 'Lock'")
    await inspect.run("commit")
    assert await inspect.numbers() == [GOOD]
    await store.close()


async def test_closing_does_not_wait_for_a_database_that_hangs(storage: Storage) -> None:
    with TcpProxy.before(storage.dsn.reveal()) as proxy:
        patient = Storage(dsn=Secret(proxy.through(storage.dsn.reveal())), timeout_seconds=600)
        store = TimescaleStore(patient, StorageCounts())
        await asyncio.gather(store.store(batch(GOOD)), store.store(batch(Reading("humidity"))))
        proxy.hangs = True

        async with asyncio.timeout(DEADLINE_SECONDS):
            await store.close()


async def test_storing_that_is_cancelled_does_not_disturb_what_comes_after(
    storage: Storage, inspect: Database
) -> None:
    # PostgreSQL does not see that a session which waits for a lock is gone; its own limit ends it.
    hasty = replace(storage, timeout_seconds=4.0)
    store = TimescaleStore(hasty, StorageCounts())
    await inspect.run(LOCK)
    storing = asyncio.create_task(store.store(batch(GOOD, dead_letters=[LETTER])))
    waiting = await inspect.waiting_session()

    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    await inspect.until_no_session(f"pid = {waiting}")
    await inspect.run("commit")

    assert (await store.store(batch(GOOD))).inserted == {"acme": 1}
    await store.close()


async def test_a_connection_cut_in_the_middle_of_copy_stores_nothing_and_is_retried(
    storage: Storage, inspect: Database
) -> None:
    numbering = Numbering()
    readings = [Reading(ts_us=NOW_US + at) for at in range(20_000)]
    with TcpProxy.before(storage.dsn.reveal()) as proxy:
        store = TimescaleStore(with_dsn(storage, proxy.through), StorageCounts())
        await store.store(batch(Reading(ts_us=NOW_US - 1), numbering=numbering))

        proxy.bytes_left = 400_000
        with pytest.raises(Retryable):
            await store.store(batch(*readings, numbering=numbering))
        await inspect.until_no_session("state <> 'idle'")

        assert proxy.cuts == 1
        assert await inspect.value("select count(*) from readings") == 1
        stored = await store.store(batch(*readings, numbering=numbering))
        assert stored.inserted == {"acme": len(readings)}
        await store.close()


@pytest.mark.parametrize(
    "readings", [[GOOD], [GOOD, Reading("state", value="on")]], ids=["one table", "two tables"]
)
async def test_a_commit_whose_answer_is_lost_is_retried_and_stored_once(
    storage: Storage, inspect: Database, readings: list[Reading]
) -> None:
    numbering = Numbering()
    earlier = [reading._replace(ts_us=NOW_US - 1) for reading in readings]
    with TcpProxy.before(storage.dsn.reveal()) as proxy:
        store = TimescaleStore(with_dsn(storage, proxy.through), StorageCounts())
        await store.store(batch(*earlier, numbering=numbering))
        proxy.cut_instead_of, proxy.cuts_left = (b"COMMIT\0",), 1
        with pytest.raises(Retryable):
            await store.store(batch(*readings, numbering=numbering))
        assert proxy.cuts == 1
        assert await inspect.numbers() == [earlier[0], GOOD]

        stored = await store.store(batch(*readings, numbering=numbering))

        assert stored.inserted == {}
        assert stored.duplicates == {"acme": len(readings)}
        assert await inspect.numbers() == [earlier[0], GOOD]
        await store.close()


async def test_series_are_looked_up_anew_after_the_connection_was_lost(
    storage: Storage, inspect: Database
) -> None:
    store, numbering = TimescaleStore(storage, StorageCounts()), Numbering()
    humidity, temperature = Reading("humidity"), Reading("temperature")
    await store.store(batch(humidity, temperature, numbering=numbering))
    # What a restore from a backup can do: the same names, other numbers.
    await inspect.run("truncate readings, series, latest restart identity")
    await inspect.run(
        "insert into series (device_id, metric)"
        " select device_id, metric from devices, unnest('{temperature,humidity}'::text[]) as metric"
    )
    for session in await inspect.sessions():
        await inspect.run(f"select pg_terminate_backend({session})")
    await until(lambda: not store.status.connected, "the loss is noticed")

    later = [humidity._replace(ts_us=NOW_US + 1), temperature._replace(ts_us=NOW_US + 1)]
    await store.store(batch(*later, numbering=numbering))

    assert await inspect.numbers() == later
    assert numbering.index.ids[:2].tolist() == [2, 1]
    await store.close()


async def test_the_status_says_how_the_database_is(storage: Storage, inspect: Database) -> None:
    store = TimescaleStore(storage, StorageCounts())
    assert not store.status.connected

    assert (await store.check()).connected
    (session,) = await inspect.sessions()
    await inspect.run(f"select pg_terminate_backend({session})")
    await inspect.until_no_session("true")
    await until(lambda: not store.status.connected, "the loss is noticed")
    assert store.status.detail == "the connection was lost"

    assert (await store.check()).connected
    assert store.status.detail == "connected"
    await store.close()


async def test_a_lost_connection_among_others_is_replaced_without_alarm(
    storage: Storage, inspect: Database
) -> None:
    store, numbering = TimescaleStore(storage, StorageCounts()), Numbering()
    readings = [Reading(metric) for metric in ("a", "b")]
    await asyncio.gather(
        *(store.store(batch(reading, numbering=numbering)) for reading in readings)
    )
    first, second = await inspect.sessions()

    await inspect.run(f"select pg_terminate_backend({first})")
    await inspect.until_no_session(f"pid = {first}")
    await until(lambda: any(each.closed for each in store._idle), "the loss is noticed")

    assert store.status.connected
    assert (await store.check()).connected
    assert await inspect.sessions() == [second]
    await store.close()


@pytest.mark.parametrize(("server", "session"), [("off", "on"), ("local", "local"), ("on", "on")])
async def test_a_commit_is_on_disk_whatever_the_database_defaults_to(
    storage: Storage, inspect: Database, server: str, session: str
) -> None:
    name = await inspect.value("select current_database()")
    await inspect.run(f'alter database "{name}" set synchronous_commit = {server}')
    await inspect.run("""
        create function note_setting() returns trigger language plpgsql as $$
        begin
            insert into dead_letters (received_at, payload, reason, detail)
            values (now(), '', 'x', current_setting('synchronous_commit'));
            return new;
        end $$;
        create trigger note before insert on readings for each row execute function note_setting();
    """)
    store = TimescaleStore(storage, StorageCounts())

    await store.store(batch(Reading()))
    await store.close()

    assert await inspect.value("select detail from dead_letters") == session
