"""Servers that the environment names are used, and no private ones started."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock import sandbox
from penstock.sandbox.databases import execute
from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock.sandbox.ports import LOOPBACK, accepts_connections, free_port

ROLE = "penstock_endpoints"


def test_named_servers_are_used(
    folder: Path, mqtt_url: str, server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MQTT_VARIABLE, mqtt_url)
    monkeypatch.setenv(DSN_VARIABLE, server_dsn)
    with sandbox.mqtt_broker(folder / "b") as url, sandbox.database_server(folder / "p") as dsn:
        assert (url, dsn) == (mqtt_url, server_dsn)
    assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("login", "cause"),
    [("", "not authorized"), ("penstock:wrong@", "not authorized|bad user name")],
)
def test_a_named_broker_that_refuses_is_told_at_once(
    folder: Path, login: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandbox.Broker(folder / "own", users={"penstock": "se/cret"}) as broker:
        address = broker.url.removeprefix("mqtt://")
        monkeypatch.setenv(MQTT_VARIABLE, f"mqtt://{login}{address}")
        with (
            pytest.raises(sandbox.SandboxError, match=f"{MQTT_VARIABLE}.* ({cause})"),
            sandbox.mqtt_broker(folder / "b"),
        ):
            pass
        monkeypatch.setenv(MQTT_VARIABLE, f"mqtt://penstock:se%2Fcret@{address}")
        with sandbox.mqtt_broker(folder / "b"):
            pass


def test_a_named_server_that_is_not_there_is_told_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{LOOPBACK}:{free_port()}"
    monkeypatch.setenv(MQTT_VARIABLE, f"mqtt://{address}")
    monkeypatch.setenv(DSN_VARIABLE, f"postgresql://somebody@{address}/postgres")
    with pytest.raises(sandbox.SandboxError, match=MQTT_VARIABLE), sandbox.mqtt_broker(folder):
        pass
    with pytest.raises(sandbox.SandboxError, match=DSN_VARIABLE), sandbox.database_server(folder):
        pass


def test_a_role_needs_to_create_databases_and_no_more(
    folder: Path, postgres_server: sandbox.Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = postgres_server.dsn
    parts = urlsplit(admin)
    dsn = parts._replace(netloc=f"{ROLE}@{parts.netloc.rpartition('@')[2]}").geturl()
    monkeypatch.setenv(DSN_VARIABLE, dsn)
    execute(admin, f"CREATE ROLE {ROLE} LOGIN")
    try:
        with (
            pytest.raises(sandbox.SandboxError, match="may not create databases"),
            sandbox.database_server(folder),
        ):
            pass
        execute(admin, f"ALTER ROLE {ROLE} CREATEDB")
        with sandbox.database_server(folder) as server:
            own = sandbox.create_database(server, ROLE)
            execute(own, "CREATE EXTENSION timescaledb")
            sandbox.drop_database(server, ROLE)
    finally:
        sandbox.drop_database(admin, ROLE)
        execute(admin, f"DROP ROLE {ROLE}")


def test_private_servers_run_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MQTT_VARIABLE, raising=False)
    monkeypatch.delenv(DSN_VARIABLE, raising=False)
    with sandbox.mqtt_broker(folder / "b") as url, sandbox.database_server(folder / "p") as dsn:
        ports = [int(url.rpartition(":")[2]), int(dsn.rpartition(":")[2].split("/")[0])]
        assert all(map(accepts_connections, ports))
    assert not any(map(accepts_connections, ports))
