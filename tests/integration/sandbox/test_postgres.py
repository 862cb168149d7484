"""The private PostgreSQL does what the tests of everything else rely on."""

from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from penstock.sandbox import Postgres, SandboxError, postgres, programs


async def fetch(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
async def test_commits_survive_the_end_of_the_server(
    folder: Path, end: Callable[[Postgres], None]
) -> None:
    with Postgres(folder / "p") as server:
        await fetch(server.dsn, "CREATE TABLE kept AS SELECT 7 AS value")
        dsn = server.dsn
        end(server)
        assert not server.running
        server.start()
        assert server.dsn == dsn
        assert await fetch(server.dsn, "SELECT value FROM kept") == 7


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
async def test_the_end_of_the_server_is_the_end_of_its_backends(
    folder: Path, end: Callable[[Postgres], None]
) -> None:
    with Postgres(folder / "p") as server:
        connection = await asyncpg.connect(server.dsn)
        backend = connection.get_server_pid()
        running = [server.process_id, backend, *postgres._children(server.process_id)]
        assert backend in running[2:]
        end(server)
        assert not any(postgres._alive(process_id) for process_id in running)
        connection.terminate()


async def test_timescaledb_works_and_reports_to_nobody(database: str) -> None:
    await fetch(database, "CREATE TABLE readings (ts timestamptz NOT NULL, value float8)")
    assert await fetch(database, "SELECT create_hypertable('readings', 'ts') IS NOT NULL")
    telemetry = await fetch(database, "SELECT current_setting('timescaledb.telemetry_level', true)")
    assert telemetry in {None, "off"}


async def test_commits_are_durable_and_stamped(postgres_server: Postgres) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes", "track_commit_timestamp"):
        assert await fetch(postgres_server.dsn, f"SHOW {name}") == "on"
    assert await fetch(postgres_server.dsn, "SHOW timezone") == "UTC"


async def test_only_the_loopback_is_listened_to(postgres_server: Postgres) -> None:
    assert await fetch(postgres_server.dsn, "SHOW listen_addresses") == "127.0.0.1"


async def test_settings_can_be_changed(folder: Path) -> None:
    with Postgres(folder / "p", fsync=False, settings={"max_connections": "17"}) as server:
        assert await fetch(server.dsn, "SHOW fsync") == "off"
        assert await fetch(server.dsn, "SHOW max_connections") == "17"


def test_a_server_that_does_not_start_shows_its_log(folder: Path) -> None:
    server = Postgres(folder / "p", settings={"max_connections": "many"})
    with pytest.raises(SandboxError, match="max_connections"):
        server.start()
    assert not server.running


def test_a_missing_timescaledb_is_named_with_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(programs, "_POSTGRESQL_FOLDERS", ())
    with pytest.raises(SandboxError, match="TimescaleDB was found: run `make setup`"):
        Postgres(folder / "p").start()
