"""A migrated database for every test that asks for one."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from penstock import sandbox
from penstock.settings.secret import Secret
from penstock.storage.migrate import migrate


@pytest.fixture(scope="session")
def schema_template(server_dsn: str) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    name = f"penstock_schema_{secrets.token_hex(6)}"
    sandbox.make_template(server_dsn, name, lambda dsn: asyncio.run(migrate(Secret(dsn))))
    yield name
    sandbox.drop_database(server_dsn, name)


@pytest.fixture
def schema(server_dsn: str, schema_template: str) -> Iterator[str]:
    """The DSN of a fresh database that is migrated."""
    name = f"penstock_test_{secrets.token_hex(6)}"
    yield sandbox.create_database(server_dsn, name, template=schema_template)
    sandbox.drop_database(server_dsn, name)
