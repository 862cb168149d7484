-- Tenants, devices, series and their readings.
--
-- Readings are narrow rows with an integer series key: 24 bytes of data, fast to COPY, and they compress
-- well. They have no foreign key, which would cost a look-up a row; nobody but the writers inserts them,
-- and those take the key from series. The view telemetry puts the names back.
--
-- The extension timescaledb is there already: `penstock migrate` sees to it before the first migration.

create table if not exists tenants (
    tenant_id integer generated always as identity primary key,
    name text not null unique check (char_length(name) between 1 and 128),
    status text not null default 'active',
    settings jsonb not null default '{}',
    created_at timestamptz not null default now()
);

-- last_seen_at is written again and again: the room left in each page keeps that off the indexes.
create table if not exists devices (
    device_id integer generated always as identity primary key,
    tenant_id integer not null references tenants,
    name text not null check (char_length(name) between 1 and 128),
    status text not null default 'active',
    attributes jsonb not null default '{}',
    created_at timestamptz not null default now(),
    last_seen_at timestamptz,
    unique (tenant_id, name)
) with (fillfactor = 70);

create table if not exists series (
    series_id integer generated always as identity primary key,
    device_id integer not null references devices,
    metric text not null check (char_length(metric) between 1 and 128),
    unit text,
    created_at timestamptz not null default now(),
    unique (device_id, metric)
);

-- The order of the columns leaves no padding between them. The primary key serves every query by
-- series; an index by time alone would slow each COPY and serve nothing, because retention drops whole
-- chunks.
create table if not exists readings (
    series_id integer not null,
    quality smallint not null default 192,
    ts timestamptz not null,
    value double precision not null,
    primary key (series_id, ts)
);

create table if not exists readings_text (
    series_id integer not null,
    ts timestamptz not null,
    value text not null,
    primary key (series_id, ts)
);

-- A day's chunk is small enough to drop and compress by, and large enough that 90 days of late readings
-- open no more than 90 chunks. Beyond some 2,000 readings a second a shorter one is better:
--   select set_chunk_time_interval('readings', interval '1 hour');
select create_hypertable(
    'readings', 'ts',
    chunk_time_interval => interval '1 day', create_default_indexes => false, if_not_exists => true
);

select create_hypertable(
    'readings_text', 'ts',
    chunk_time_interval => interval '1 day', create_default_indexes => false, if_not_exists => true
);

-- The newest number of each series. It is written about once a second, so that no batch pays for it, and
-- so may be a second behind; the room left in each page keeps the writing off the index.
create table if not exists latest (
    series_id integer primary key references series,
    ts timestamptz not null,
    value double precision not null,
    quality smallint not null
) with (fillfactor = 50);

create or replace view telemetry as
select
    tenants.name as tenant,
    devices.name as device,
    series.metric,
    readings.ts,
    readings.value,
    readings.quality
from readings
join series using (series_id)
join devices using (device_id)
join tenants using (tenant_id);

create or replace view telemetry_text as
select
    tenants.name as tenant,
    devices.name as device,
    series.metric,
    readings_text.ts,
    readings_text.value
from readings_text
join series using (series_id)
join devices using (device_id)
join tenants using (tenant_id);
