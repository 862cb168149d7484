"""A store, and a look at what it leaves in its database."""

import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from penstock import sandbox
from penstock.observability.metrics import StorageCounts
from penstock.settings.secret import Secret
from penstock.settings.tree import Storage
from penstock.storage.store import TimescaleStore
from tests.support.database import Database


@pytest.fixture(scope="session")
def shared_schema(server_dsn: str, schema_template: str) -> Iterator[str]:
    """The DSN of a migrated database for all tests that leave its schema and settings alone."""
    name = f"penstock_shared_{secrets.token_hex(6)}"
    yield sandbox.create_database(server_dsn, name, template=schema_template)
    sandbox.drop_database(server_dsn, name)


@pytest.fixture
async def inspect(shared_schema: str) -> AsyncIterator[Database]:
    """Another session in the store's database, as a superuser; all its tables are empty."""
    connection = await asyncpg.connect(shared_schema)
    await connection.execute("""
        truncate tenants, devices, series, readings, readings_text, latest, dead_letters
        restart identity
    """)
    yield Database(connection)
    await connection.close()


@pytest.fixture
def storage(shared_schema: str) -> Storage:
    return Storage(dsn=Secret(shared_schema), timeout_seconds=20.0)


@pytest.fixture
def counts() -> StorageCounts:
    return StorageCounts()


@pytest.fixture
async def store(
    storage: Storage, counts: StorageCounts, inspect: Database
) -> AsyncIterator[TimescaleStore]:
    store = TimescaleStore(storage, counts)
    yield store
    await store.close()
