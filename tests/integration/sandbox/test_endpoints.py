"""Servers that the environment names are used, and no private ones started."""

from pathlib import Path

import pytest

from penstock import sandbox
from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock.sandbox.ports import accepts_connections


def test_named_servers_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MQTT_VARIABLE, "mqtt://broker.example:1883")
    monkeypatch.setenv(DSN_VARIABLE, "postgresql://database.example/postgres")
    with sandbox.mqtt_broker(folder / "b") as url, sandbox.database_server(folder / "p") as dsn:
        assert url == "mqtt://broker.example:1883"
        assert dsn == "postgresql://database.example/postgres"
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_private_servers_run_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MQTT_VARIABLE, raising=False)
    monkeypatch.delenv(DSN_VARIABLE, raising=False)
    with sandbox.mqtt_broker(folder / "b") as url, sandbox.database_server(folder / "p") as dsn:
        ports = [int(url.rpartition(":")[2]), int(dsn.rpartition(":")[2].split("/")[0])]
        assert all(map(accepts_connections, ports))
    assert not any(map(accepts_connections, ports))
