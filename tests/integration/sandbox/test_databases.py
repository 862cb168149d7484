"""Databases are copied from templates, and dropped whoever uses them."""

import secrets
from collections.abc import Iterator

import asyncpg
import pytest

from penstock import sandbox
from penstock.sandbox.databases import execute


@pytest.fixture
def template(server_dsn: str) -> Iterator[str]:
    name = f"penstock_{secrets.token_hex(6)}"
    sandbox.make_template(server_dsn, name, lambda dsn: execute(dsn, "CREATE TABLE prepared ()"))
    yield name
    sandbox.drop_database(server_dsn, name)


async def names(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()


async def test_a_copy_has_what_its_template_was_prepared_with(
    server_dsn: str, template: str
) -> None:
    for _ in range(3):
        name = f"penstock_{secrets.token_hex(6)}"
        dsn = sandbox.create_database(server_dsn, name, template=template)
        connection = await asyncpg.connect(dsn)
        await connection.fetch("SELECT * FROM prepared")
        # Dropped with the connection open.
        sandbox.drop_database(server_dsn, name)
        with pytest.raises(asyncpg.PostgresError):
            await connection.fetch("SELECT 1")
        connection.terminate()
        assert name not in await names(server_dsn)


async def test_nobody_can_connect_to_a_template_and_so_block_its_copying(
    server_dsn: str, template: str
) -> None:
    with pytest.raises(asyncpg.PostgresError, match="not currently accepting connections"):
        await asyncpg.connect(server_dsn, database=template)


async def test_a_template_can_be_dropped_and_a_missing_database_is_no_error(
    server_dsn: str, template: str
) -> None:
    sandbox.drop_database(server_dsn, template)
    sandbox.drop_database(server_dsn, template)
    assert template not in await names(server_dsn)


async def test_each_test_has_a_database_of_its_own_with_the_extension(database: str) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval(
        "SELECT count(*) FROM pg_extension WHERE extname = $1", "timescaledb"
    )
    await connection.close()
