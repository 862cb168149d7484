import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from penstock import sandbox
from penstock.errors import FatalError, Retryable
from penstock.sandbox.databases import execute
from penstock.settings.secret import Secret
from penstock.storage.migrate import migrate, pending
from penstock.storage.migrations import Migration, shipped_migrations
from tests.support.database import Database, as_role
from tests.support.tcp_proxy import TcpProxy

SHIPPED = [migration.name for migration in shipped_migrations()]
FIRST = Migration(1, "0001_first.sql", "create table first (a integer)")
SECOND = Migration(2, "0002_second.sql", "create table second (a integer)")
HALF = Migration(2, "0002_half.sql", "create table half (a integer); select 1 / 0")

FORBIDDING_TRIGGER = """
    create function forbid() returns event_trigger language plpgsql as $$
    begin raise exception 'not without the administrator'; end $$;
    create event trigger forbid on ddl_command_start when tag in ('CREATE TABLE')
    execute function forbid();
"""


@pytest.fixture
def dsn(database: str) -> Secret:
    """An empty database, with the extension."""
    return Secret(database)


@pytest.fixture
async def inspect(database: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database)
    yield Database(connection)
    await connection.close()


async def tables(inspect: Database) -> list[str]:
    rows = await inspect.rows(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind = 'r' order by 1"
    )
    return [name for (name,) in rows]


async def test_a_database_that_cannot_spell_every_name_is_refused(server_dsn: str) -> None:
    name = f"penstock_latin_{secrets.token_hex(4)}"
    execute(
        server_dsn,
        f"create database {name} encoding 'LATIN1' locale 'C' template template0",
    )
    try:
        with pytest.raises(FatalError, match="encoded in LATIN1"):
            await migrate(Secret(urlsplit(server_dsn)._replace(path=f"/{name}").geturl()))
    finally:
        sandbox.drop_database(server_dsn, name)


async def test_an_empty_database_gets_everything_and_then_nothing(
    dsn: Secret, inspect: Database
) -> None:
    assert await pending(dsn) == SHIPPED

    assert await migrate(dsn) == SHIPPED

    assert await migrate(dsn) == []
    assert await pending(dsn) == []
    assert await inspect.rows("select name from schema_migrations order by version") == [
        (name,) for name in SHIPPED
    ]


async def test_the_extension_is_created_where_it_is_missing(dsn: Secret, inspect: Database) -> None:
    await inspect.run("drop extension timescaledb")

    assert await migrate(dsn) == SHIPPED


async def test_each_shipped_migration_can_run_again_without_harm(
    dsn: Secret, inspect: Database
) -> None:
    await migrate(dsn)
    await inspect.run("select register_device('acme', 'pump-1')")

    for migration in shipped_migrations():
        await inspect.run(migration.sql)

    assert await inspect.rows("select name from devices") == [("pump-1",)]


async def test_any_number_of_migrations_at_once_apply_each_once(
    dsn: Secret, inspect: Database
) -> None:
    await inspect.run("drop extension timescaledb")

    applied = await asyncio.gather(*(migrate(dsn) for _ in range(4)))

    assert sorted(name for names in applied for name in names) == SHIPPED


async def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stay(
    dsn: Secret, inspect: Database
) -> None:
    with pytest.raises(FatalError, match=r"0002_half\.sql failed: division by zero"):
        await migrate(dsn, [FIRST, HALF])

    assert await tables(inspect) == ["first", "schema_migrations"]
    assert await migrate(dsn, [FIRST, SECOND]) == [SECOND.name]


async def test_a_migration_that_is_killed_midway_leaves_nothing_and_can_be_run_again(
    dsn: Secret, inspect: Database
) -> None:
    await migrate(dsn, [FIRST])
    await inspect.run("begin; lock table first in access exclusive mode")
    waits = SECOND._replace(sql=f"{SECOND.sql}; insert into first values (1)")
    migrating = asyncio.create_task(migrate(dsn, [FIRST, waits]))
    victim = await inspect.waiting_session()

    await inspect.run(f"select pg_terminate_backend({victim})")
    with pytest.raises(Retryable):
        await migrating
    await inspect.run("commit")

    assert await tables(inspect) == ["first", "schema_migrations"]
    assert await migrate(dsn, [FIRST, waits]) == [SECOND.name]


async def test_a_migrator_that_vanishes_midway_lets_the_next_one_in(
    dsn: Secret, inspect: Database
) -> None:
    filler = "-- " + "x" * 100_000
    with TcpProxy.before(dsn.reveal()) as proxy:
        proxy.bytes_left = 50_000
        with pytest.raises(Retryable):
            await migrate(Secret(proxy.through(dsn.reveal())), [FIRST._replace(sql=filler)])

    assert await migrate(dsn, [FIRST]) == [FIRST.name]


async def test_an_edited_migration_is_refused_and_changes_nothing(
    dsn: Secret, inspect: Database
) -> None:
    await migrate(dsn, [FIRST])
    edited = FIRST._replace(sql="create table other (a integer)")

    with pytest.raises(FatalError, match=r"0001_first\.sql was edited"):
        await migrate(dsn, [edited, SECOND])

    assert await tables(inspect) == ["first", "schema_migrations"]


async def test_a_database_newer_than_the_code_is_refused(dsn: Secret) -> None:
    await migrate(dsn, [FIRST, SECOND])

    with pytest.raises(FatalError, match="newer than this Penstock"):
        await migrate(dsn, [FIRST])


async def test_a_server_that_does_not_load_timescaledb_is_told_to(scratch: Path) -> None:
    settings = {"shared_preload_libraries": ""}
    with (
        sandbox.Postgres(scratch / "bare", fsync=False, settings=settings) as server,
        pytest.raises(FatalError, match="shared_preload_libraries"),
    ):
        await migrate(Secret(server.dsn))


async def test_a_role_that_may_not_create_the_extension_is_told_who_may(
    dsn: Secret, inspect: Database
) -> None:
    database = await inspect.value("select current_database()")
    role = f"role_{database}"
    await inspect.run(f"drop extension timescaledb; create role {role} login password '{role}'")

    with pytest.raises(FatalError, match="CREATE EXTENSION timescaledb"):
        await migrate(Secret(as_role(dsn.reveal(), role)))

    await inspect.run(f"drop role {role}")


async def test_a_trigger_that_forbids_to_make_tables_is_named(
    dsn: Secret, inspect: Database
) -> None:
    await inspect.run(FORBIDDING_TRIGGER)

    with pytest.raises(FatalError, match=r"not without the administrator \(P0001\)"):
        await migrate(dsn)

    await inspect.run("drop event trigger forbid")
    assert await migrate(dsn) == SHIPPED


async def test_a_role_that_owns_nothing_may_start_on_a_migrated_database(
    dsn: Secret, inspect: Database
) -> None:
    await migrate(dsn)
    role = f"role_{await inspect.value('select current_database()')}"
    await inspect.run(
        f"create role {role} login password '{role}';"
        f" grant select on all tables in schema public to {role}"
    )

    assert await migrate(Secret(as_role(dsn.reveal(), role))) == []

    await inspect.run(f"drop owned by {role}; drop role {role}")


async def test_an_owner_without_other_privileges_can_migrate(
    dsn: Secret, inspect: Database
) -> None:
    database = await inspect.value("select current_database()")
    role = f"role_{database}"
    await inspect.run(
        f"drop extension timescaledb; create role {role} login password '{role}';"
        f'alter database "{database}" owner to {role}; alter schema public owner to {role}'
    )

    assert await migrate(Secret(as_role(dsn.reveal(), role))) == SHIPPED

    await inspect.run(f"reassign owned by {role} to current_user; drop role {role}")
