"""Real servers for every test, private ones unless the environment names others.

PENSTOCK_TEST_MQTT and PENSTOCK_TEST_DSN name a broker and a database server to use. Tests that
stop, kill or look into their server ask for `broker` or `postgres_server` and are skipped then; the
others ask for `mqtt_url` or `database`.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from penstock import sandbox
from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE

# A machine that is slow or busy is no defect of what is tested.
settings.register_profile("penstock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penstock")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for the servers of this session, short enough for UNIX sockets."""
    with sandbox.scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def broker(scratch: Path) -> Iterator[sandbox.Broker]:
    """A durable private broker, shared: use `topic_prefix`, and client ids of your own."""
    if os.environ.get(MQTT_VARIABLE):
        pytest.skip(f"needs a broker of its own, and {MQTT_VARIABLE} names another")
    with sandbox.Broker(scratch / "broker") as broker:
        yield broker


@pytest.fixture(scope="session")
def mqtt_url(request: pytest.FixtureRequest) -> str:
    """The URL of a broker, shared: use `topic_prefix`, and client ids of your own."""
    named = os.environ.get(MQTT_VARIABLE)
    if named:
        return named
    broker: sandbox.Broker = request.getfixturevalue("broker")
    return broker.url


@pytest.fixture
def topic_prefix() -> str:
    """A topic level that no other test uses, so that tests can share a broker."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def postgres_server(scratch: Path) -> Iterator[sandbox.Postgres]:
    """A private PostgreSQL with TimescaleDB whose commits are on disk, shared."""
    if os.environ.get(DSN_VARIABLE):
        pytest.skip(f"needs a database server of its own, and {DSN_VARIABLE} names another")
    with sandbox.Postgres(scratch / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def server_dsn(request: pytest.FixtureRequest) -> str:
    """A database of a server in which databases can be created."""
    named = os.environ.get(DSN_VARIABLE)
    if named:
        return named
    server: sandbox.Postgres = request.getfixturevalue("postgres_server")
    return server.dsn


@pytest.fixture(scope="session")
def empty_template(server_dsn: str) -> Iterator[str]:
    """The name of a database with the TimescaleDB extension alone, to be copied."""
    name = f"penstock_empty_{secrets.token_hex(6)}"
    sandbox.make_template(server_dsn, name)
    yield name
    sandbox.drop_database(server_dsn, name)


@pytest.fixture
def database(server_dsn: str, empty_template: str) -> Iterator[str]:
    """The DSN of a fresh database with the TimescaleDB extension alone."""
    name = f"penstock_test_{secrets.token_hex(6)}"
    yield sandbox.create_database(server_dsn, name, template=empty_template)
    sandbox.drop_database(server_dsn, name)
