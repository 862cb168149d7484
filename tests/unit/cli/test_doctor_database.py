"""What the doctor makes of what a database said."""

import pytest
from msgspec.structs import replace

from penstock.cli.doctor.database import (
    ClockOffset,
    DatabaseFacts,
    Server,
    connections_needed,
    judge_database,
)
from penstock.cli.doctor.disks import Disk
from penstock.cli.doctor.finding import Finding, Level
from penstock.cli.doctor.schema import Extension, Schema
from penstock.settings.tree import Registry, Route, Settings, Spool, Storage, TimeBounds

SERVER = Server(
    server_version="15.18",
    server_version_number=150_018,
    is_standby=False,
    is_read_only=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    data_directory="/data",
    is_same_machine=True,
    backend_pid=1,
    max_connections=100,
    reserved_connections=3,
    role_limit=-1,
    database_limit=-1,
    used=10,
    used_by_role=5,
    used_in_database=5,
    used_by_penstock=0,
)
EXTENSION = Extension(
    version="2.19.3", available="2.19.3", is_preloaded=True, license="apache", may_create=False
)
SCHEMA = Schema(newest="0003_last.sql", pending=(), missing_privileges=(), may_migrate=False)
DISK = Disk(path="/data", free_bytes=50 * 10**9, total_bytes=100 * 10**9, device=1, kind="ext4")
WELL = DatabaseFacts(
    place="postgresql://db/penstock",
    server=SERVER,
    extension=EXTENSION,
    schema=SCHEMA,
    clock=ClockOffset(0.01, 0.001),
    disk=DISK,
)
BY_HAND = {"migrate_on_start": False}


def findings(facts: DatabaseFacts, **storage: object) -> dict[str, Finding]:
    settings = Settings(storage=replace(Storage(), **storage))
    return {finding.check: finding for finding in judge_database(settings, facts)}


def with_server(**changes: object) -> DatabaseFacts:
    return replace(WELL, server=replace(SERVER, **changes))


def with_extension(**changes: object) -> DatabaseFacts:
    return replace(WELL, extension=replace(EXTENSION, **changes))


def with_schema(**changes: object) -> DatabaseFacts:
    return replace(WELL, schema=replace(SCHEMA, **changes))


def with_disk(free_bytes: int) -> DatabaseFacts:
    return replace(WELL, disk=replace(DISK, free_bytes=free_bytes))


def clock(seconds: float, uncertainty_seconds: float = 0.001) -> DatabaseFacts:
    return replace(WELL, clock=ClockOffset(seconds, uncertainty_seconds))


def test_of_a_database_that_is_well_all_is_ok() -> None:
    found = findings(WELL)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert len(found) == 8


@pytest.mark.parametrize(
    ("facts", "storage", "check", "level", "said"),
    [
        (with_server(is_standby=True), {}, "connection", "problem", "it is a standby"),
        (with_server(is_read_only=True), {}, "connection", "problem", "read_only is on"),
        (with_server(server_version_number=140_020), {}, "connection", "warning", "15 and newer"),
        (with_server(fsync=False), {}, "durability", "problem", "fsync is off"),
        (with_server(full_page_writes=False), {}, "durability", "problem", "full_page_writes"),
        (with_server(synchronous_commit="off"), {}, "durability", "note", "sets it on"),
        (with_server(synchronous_commit="local"), {}, "durability", "ok", "local"),
        # 97 for ordinary roles; a daemon of two writers opens four.
        (with_server(used=94), {}, "connections", "problem", "3 connections free"),
        (with_server(used=93), {}, "connections", "warning", "4 connections free"),
        (with_server(used=89), {}, "connections", "warning", "8 connections free"),
        (with_server(used=88), {}, "connections", "ok", "9 connections free"),
        (with_server(used=92, used_by_penstock=4), {}, "connections", "ok", "has 4 open"),
        (with_server(used=97, used_by_penstock=3), {}, "connections", "problem", "0 connections"),
        (with_server(role_limit=8), {}, "connections", "problem", "the role's limit 8"),
        (with_server(database_limit=8), {}, "connections", "problem", "the database's limit 8"),
        (WELL, {"writers": 64}, "connections", "ok", "up to 66"),
        (with_server(used=40), {"writers": 64}, "connections", "problem", "57 connections free"),
        (replace(WELL, pooled=True), {}, "pooler", "note", "pgbouncer"),
        (
            with_extension(available=None, version=None, is_preloaded=False),
            {},
            "timescaledb",
            "problem",
            "has no TimescaleDB.",
        ),
        (with_extension(is_preloaded=False), {}, "timescaledb", "problem", "does not load it"),
        (with_extension(version=None), {}, "timescaledb", "problem", "has no TimescaleDB,"),
        (
            with_extension(version=None, may_create=True),
            {},
            "timescaledb",
            "note",
            "will create it (2.19.3)",
        ),
        (
            with_extension(version=None, may_create=True),
            BY_HAND,
            "timescaledb",
            "problem",
            "has no TimescaleDB,",
        ),
        (with_extension(license="timescale"), {}, "timescaledb", "ok", "licence timescale"),
        (WELL, {}, "timescaledb", "ok", "cannot compress"),
        (WELL, {}, "schema", "ok", "0003_last.sql"),
        (with_schema(fault="it is newer"), {}, "schema", "problem", "it is newer"),
        (with_schema(pending=("a", "b")), {}, "schema", "problem", "2 migrations: a, b"),
        (with_schema(pending=("a",), may_migrate=True), {}, "schema", "note", "1 migration: a"),
        (with_schema(pending=("a",), may_migrate=True), BY_HAND, "schema", "problem", "is false"),
        (
            with_schema(missing_privileges=("insert on readings",)),
            {},
            "privileges",
            "problem",
            "lacks insert on readings",
        ),
        # Positive: the database is ahead, so this machine is behind.
        (clock(0.9), {}, "clock", "ok", "0.900 s behind"),
        (clock(-0.9), {}, "clock", "ok", "0.900 s ahead of"),
        (clock(1.1, uncertainty_seconds=0.2), {}, "clock", "ok", "± 0.200 s"),
        (clock(1.1), {}, "clock", "warning", "1.100 s behind"),
        (clock(3599), {}, "clock", "warning", "behind"),
        (clock(3600), {}, "clock", "problem", "time.future_seconds is 60 minutes"),
        (clock(-3600), {}, "clock", "warning", "ahead of"),
        (clock(-90 * 86_400), {}, "clock", "problem", "time.past_seconds is 90 days"),
        (replace(WELL, disk=None), {}, "disk", "note", "cannot be known from here"),
        (with_disk(10 * 10**9), {}, "disk", "ok", "10 GB free of 100 GB"),
        (with_disk(10 * 10**9 - 1), {}, "disk", "warning", "10 GB free of 100 GB"),
        (with_disk(10**9 - 1), {}, "disk", "problem", "free of 100 GB"),
    ],
)
def test_each_fact_is_judged(
    facts: DatabaseFacts, storage: dict[str, object], check: str, level: str, said: str
) -> None:
    finding = findings(facts, **storage)[f"database.{check}"]
    assert (finding.level, said in finding.text) == (level, True), finding
    assert finding.advice or level in {"ok", "note"}


def test_the_clock_is_compared_with_the_narrowest_route() -> None:
    routes = (Route(topic="a/{tenant}/{device}"), Route(topic="b/{tenant}/{device}"))
    narrow = replace(routes[1], time=TimeBounds(future_seconds=5))
    found = {
        finding.check: finding
        for finding in judge_database(Settings(routes=(routes[0], narrow)), clock(6))
    }
    assert found["database.clock"].level is Level.PROBLEM


def test_a_database_that_cannot_be_asked_is_a_problem_without_guesses() -> None:
    facts = DatabaseFacts(place="postgresql://db/penstock", failure="nobody is there")
    found = findings(facts)
    assert [(check, f.level) for check, f in found.items()] == [
        ("database.connection", Level.PROBLEM)
    ]
    assert "nobody is there" in found["database.connection"].text


def test_spool_and_registry_need_a_connection_each() -> None:
    plain = Settings(storage=Storage(writers=3))
    assert connections_needed(plain) == 5
    assert connections_needed(replace(plain, spool=Spool(path="/spool.db"))) == 6
    assert connections_needed(replace(plain, registry=Registry(auto_register=False))) == 6
