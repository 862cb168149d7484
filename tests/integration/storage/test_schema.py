from importlib.resources import files
from pathlib import PurePath

import asyncpg
import pytest

from penstock.storage.queries import query
from tests.support.database import Database

QUERIES = sorted(PurePath(file.name).stem for file in (files("penstock.storage") / "sql").iterdir())
SCRIPTS = {"begin", "create_extension", "create_staging"}
"""Those that are several statements, which cannot be prepared."""
NEEDS_STAGING = ("insert_readings", "discard_repeated", "shift_readings", "update_la")
"""How the names of those begin that use the staging tables."""


@pytest.mark.parametrize("name", QUERIES)
async def test_every_query_fits_the_schema(inspect: Database, name: str) -> None:
    if name.startswith(NEEDS_STAGING):
        await inspect.run(query("create_staging"))
        await inspect.run(query("create_latest_staging"))

    if name in SCRIPTS:
        await inspect.run(query(name).replace("{limit_ms}", "1000"))
    else:
        await inspect.connection.prepare(query(name))


async def test_readings_are_hypertables_that_copy_is_cheap_into(inspect: Database) -> None:
    assert await inspect.rows(
        "select hypertable_name, column_name, extract(epoch from time_interval)::integer"
        " from timescaledb_information.dimensions order by 1"
    ) == [("readings", "ts", 86_400), ("readings_text", "ts", 86_400)]
    assert await inspect.rows(
        "select tablename, indexname from pg_indexes"
        " where tablename in ('readings', 'readings_text') order by 1"
    ) == [("readings", "readings_pkey"), ("readings_text", "readings_text_pkey")]


async def test_one_reading_takes_24_bytes_of_data_without_padding(inspect: Database) -> None:
    assert await inspect.value(
        "select pg_column_size(row(1::integer, 192::smallint, now(), 1.5::float8))"
        " - pg_column_size(row())"
    ) == 24  # fmt: skip


async def test_people_query_telemetry_by_name(inspect: Database) -> None:
    await inspect.run("""
        select register_device('acme', 'pump-1');
        insert into series (device_id, metric, unit)
        select device_id, 'temperature', 'C' from devices;
        insert into readings (series_id, ts, value) select series_id, now(), 21.5 from series;
        insert into readings_text (series_id, ts, value) select series_id, now(), 'ok' from series
    """)

    assert await inspect.rows(
        "select tenant, device, metric, ts <= now(), value, quality from telemetry"
    ) == [("acme", "pump-1", "temperature", True, 21.5, 192)]
    assert await inspect.rows(
        "select tenant, device, metric, ts <= now(), value from telemetry_text"
    ) == [("acme", "pump-1", "temperature", True, "ok")]


async def test_a_query_by_name_and_time_uses_the_primary_key(inspect: Database) -> None:
    await inspect.run("""
        select register_device('acme', 'pump-' || at) from generate_series(1, 300) as at;
        insert into series (device_id, metric) select device_id, 'temperature' from devices;
        insert into readings (series_id, ts, value)
        select series_id, '2026-01-01Z'::timestamptz + at * interval '1 minute', at
        from series, generate_series(1, 60) as at;
        analyze tenants, devices, series, readings
    """)

    plan = await inspect.rows(
        "explain select value from telemetry where tenant = 'acme' and device = 'pump-7'"
        " and metric = 'temperature' and ts > '2026-01-01 00:30Z'"
    )

    assert any("_readings_pkey" in line for (line,) in plan), plan


async def test_registering_a_device_twice_gives_the_same_one(inspect: Database) -> None:
    first = await inspect.value("select register_device('acme', 'pump-1')")
    other = await inspect.value("select register_device('acme', 'pump-2')")

    assert await inspect.value("select register_device('acme', 'pump-1')") == first
    assert await inspect.rows(
        "select device_id, tenants.name, devices.name from devices join tenants using (tenant_id)"
        " order by device_id"
    ) == [(first, "acme", "pump-1"), (other, "acme", "pump-2")]


@pytest.mark.parametrize(("tenant", "device"), [("", "pump-1"), ("acme", ""), ("acme", "x" * 129)])
async def test_a_name_that_no_topic_can_carry_cannot_be_registered(
    inspect: Database, tenant: str, device: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await inspect.connection.fetchval("select register_device($1, $2)", tenant, device)

    assert await inspect.rows("select 1 from devices") == []
