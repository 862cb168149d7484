"""What the doctor learns of real databases."""

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import sandbox
from penstock.cli.doctor.database import DatabaseFacts, judge_database
from penstock.cli.doctor.database_facts import database_facts
from penstock.cli.doctor.finding import Finding, Level
from penstock.sandbox.databases import execute
from penstock.sandbox.ports import LOOPBACK
from penstock.settings.secret import Secret
from penstock.settings.tree import Settings, Storage
from penstock.storage.connection import connect
from tests.support.database import as_role
from tests.support.pgbouncer import PgBouncer

WORSE = (Level.WARNING, Level.PROBLEM)


def settings_for(dsn: str, *, timeout_seconds: float = 30.0, migrate: bool = True) -> Settings:
    return Settings(
        storage=Storage(dsn=Secret(dsn), timeout_seconds=timeout_seconds, migrate_on_start=migrate)
    )


async def examined(settings: Settings) -> tuple[DatabaseFacts, dict[str, Finding]]:
    facts = await database_facts(settings)
    return facts, {finding.check: finding for finding in judge_database(settings, facts)}


@pytest.fixture
def role(server_dsn: str) -> Iterator[str]:
    """A role that may log in, with its name for a password, and nothing else."""
    name = f"doctor_{secrets.token_hex(6)}"
    execute(server_dsn, f"create role {name} login password '{name}'")
    yield name
    execute(server_dsn, f"drop role {name}")


async def test_of_a_database_that_is_up_to_date_all_is_well(schema: str) -> None:
    facts, found = await examined(settings_for(schema, migrate=False))
    assert not [finding for finding in found.values() if finding.level in WORSE]
    assert found["database.schema"].level is Level.OK
    assert found["database.privileges"].level is Level.OK
    assert "TimescaleDB 2" in found["database.timescaledb"].text
    assert facts.clock is not None
    assert abs(facts.clock.seconds) <= max(1.0, facts.clock.uncertainty_seconds)
    assert not facts.pooled


async def test_the_disk_is_that_of_the_server(postgres_server: sandbox.Postgres) -> None:
    facts, found = await examined(settings_for(postgres_server.dsn))
    disk = os.statvfs(postgres_server.folder)
    assert facts.disk is not None
    assert facts.disk.total_bytes == disk.f_blocks * disk.f_frsize
    assert facts.disk.kind
    assert str(postgres_server.folder) in found["database.disk"].text


@pytest.mark.parametrize(("migrate", "level"), [(True, Level.NOTE), (False, Level.PROBLEM)])
async def test_migrations_to_come_are_named(database: str, *, migrate: bool, level: Level) -> None:
    facts, found = await examined(settings_for(database, migrate=migrate))
    assert found["database.schema"].level is level
    assert facts.schema is not None
    assert "0001_readings.sql" in found["database.schema"].text
    assert facts.schema.pending[0] == "0001_readings.sql"
    async with asyncio.timeout(30):
        connection = await connect(Secret(database), 30)
        try:
            assert await connection.fetchval("select to_regclass('schema_migrations')") is None
        finally:
            connection.terminate()


async def test_a_role_that_may_change_nothing_cannot_apply_them(database: str, role: str) -> None:
    _, found = await examined(settings_for(as_role(database, role)))
    assert found["database.schema"].level is Level.PROBLEM
    assert "may not apply them" in found["database.schema"].text


async def test_a_schema_of_a_later_version_is_a_problem(schema: str) -> None:
    execute(schema, "insert into schema_migrations values (9999, '9999_later.sql', '')")
    _, found = await examined(settings_for(schema))
    assert found["database.schema"].level is Level.PROBLEM
    assert "9999_later.sql" in found["database.schema"].text


async def test_every_privilege_that_is_lacking_is_named(schema: str, role: str) -> None:
    tables = "tenants, devices, series, readings, readings_text, latest, dead_letters"
    execute(schema, f"grant select, insert, update on {tables} to {role}")
    execute(schema, f"grant select on schema_migrations to {role}")
    _, found = await examined(settings_for(as_role(schema, role)))
    assert found["database.privileges"].level is Level.OK
    assert found["database.schema"].level is Level.OK

    execute(schema, f"revoke insert on readings, dead_letters from {role}")
    _, found = await examined(settings_for(as_role(schema, role)))
    assert found["database.privileges"].level is Level.PROBLEM
    assert (
        found["database.privileges"].text
        == "The role lacks insert on readings, insert on dead_letters."
    )
    execute(schema, f"drop owned by {role}")


async def test_migrations_that_cannot_be_read_do_not_stop_the_rest(schema: str, role: str) -> None:
    _, found = await examined(settings_for(as_role(schema, role)))
    assert "permission denied" in found["database.schema"].text
    assert "select on schema_migrations" in found["database.privileges"].text
    assert "database.clock" in found


async def test_the_limit_of_the_role_counts(schema: str, role: str) -> None:
    execute(schema, f"alter role {role} connection limit 3")
    _, found = await examined(settings_for(as_role(schema, role)))
    assert found["database.connections"].level is Level.PROBLEM
    assert "3 connections free (the role's limit 3)" in found["database.connections"].text


async def test_what_the_role_begins_with_is_seen_and_not_what_penstock_sets(
    schema: str, role: str
) -> None:
    execute(schema, f"alter role {role} set synchronous_commit = off")
    _, found = await examined(settings_for(as_role(schema, role)))
    assert found["database.durability"].level is Level.NOTE


async def test_a_role_that_writes_nothing_is_a_problem(schema: str, role: str) -> None:
    execute(schema, f"alter role {role} set default_transaction_read_only = on")
    _, found = await examined(settings_for(as_role(schema, role)))
    assert found["database.connection"].level is Level.PROBLEM


async def test_a_server_without_fsync_is_a_problem(scratch: Path) -> None:
    with sandbox.Postgres(scratch / "doctor-fsync", fsync=False) as server:
        _, found = await examined(settings_for(server.dsn))
    assert found["database.durability"].level is Level.PROBLEM


async def test_a_pooler_in_front_is_noticed(
    scratch: Path, postgres_server: sandbox.Postgres, schema: str
) -> None:
    with PgBouncer(scratch / "doctor-pgbouncer", schema) as pooler:
        facts, found = await examined(settings_for(pooler.dsn))
    assert facts.pooled
    assert found["database.pooler"].level is Level.NOTE
    assert found["database.schema"].level is Level.OK
    assert not [finding for finding in found.values() if finding.level in WORSE]


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgresql://u:secret@{LOOPBACK}:1/penstock", "cannot be reached"),
        ("postgresql://u:secret@no-such-host.invalid/penstock", "cannot be reached"),
        ("postgresql://u:secret@[broken/penstock", "not a DSN"),
    ],
)
async def test_a_database_that_is_not_there_is_a_finding(dsn: str, said: str) -> None:
    _, found = await examined(settings_for(dsn))
    assert list(found) == ["database.connection"]
    finding = found["database.connection"]
    assert finding.level is Level.PROBLEM
    assert said in finding.text
    assert "secret" not in finding.text


async def test_an_unknown_role_is_a_finding(postgres_server: sandbox.Postgres) -> None:
    _, found = await examined(settings_for(as_role(postgres_server.dsn, "nobody_at_all")))
    assert list(found) == ["database.connection"]
    assert "refuses the user" in found["database.connection"].text


async def test_a_database_that_hangs_is_a_finding_in_time() -> None:
    leaving = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leaving.wait()
        writer.close()

    server = await asyncio.start_server(hold, LOOPBACK)
    port = server.sockets[0].getsockname()[1]
    try:
        dsn = f"postgresql://u@{LOOPBACK}:{port}/penstock?sslmode=disable"
        _, found = await examined(settings_for(dsn, timeout_seconds=0.3))
    finally:
        leaving.set()
        server.close()
        await server.wait_closed()
    assert list(found) == ["database.connection"]
