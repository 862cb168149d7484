"""A broker and a database server to use: those that the environment names, else private ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.sandbox.broker import Broker
from penstock.sandbox.postgres import Postgres

MQTT_VARIABLE = "PENSTOCK_TEST_MQTT"
DSN_VARIABLE = "PENSTOCK_TEST_DSN"


@contextmanager
def mqtt_broker(folder: Path) -> Iterator[str]:
    """The URL of the broker in PENSTOCK_TEST_MQTT, or of a durable one that runs meanwhile.

    Topics and client ids should be unique to the run: others may use the same broker.

    Raises:
        SandboxError: there is no mosquitto, or it did not start.
    """
    named = os.environ.get(MQTT_VARIABLE)
    if named:
        yield named
    else:
        with Broker(folder) as broker:
            yield broker.url


@contextmanager
def database_server(folder: Path) -> Iterator[str]:
    """The DSN in PENSTOCK_TEST_DSN, or of a private server that runs meanwhile.

    Data belongs into a database of its own (`create_database`): the server may be used by others.

    Raises:
        SandboxError: there is no PostgreSQL with TimescaleDB, or it did not start.
    """
    named = os.environ.get(DSN_VARIABLE)
    if named:
        yield named
    else:
        with Postgres(folder) as server:
            yield server.dsn
