-- The table that every peer writes to: the columns of Penstock's view `telemetry` that a message
-- decides. It is Penstock's `readings` with names in place of the series number, which a peer has
-- no way of looking up.
create extension if not exists timescaledb;

create table sensor_readings (
    tenant text not null,
    device text not null,
    metric text not null,
    ts timestamptz not null,
    value double precision not null
);

select create_hypertable(
    'sensor_readings', 'ts',
    chunk_time_interval => interval '1 day', create_default_indexes => false
);

-- The rest is for the oracle, which reads Penstock's tables, and touches nothing before the end.
create view tenants as
select distinct tenant as tenant_id, tenant as name from sensor_readings;

create view devices as
select distinct device as device_id, tenant as tenant_id, device as name from sensor_readings;

create view series as
select
    row_number() over (order by device, metric, tenant)::integer as series_id,
    device as device_id,
    metric,
    tenant
from (select distinct tenant, device, metric from sensor_readings) as found;

create view readings as
select series_id, 192::smallint as quality, ts, value, sensor_readings.xmin as xmin
from sensor_readings
join series using (tenant, metric)
where series.device_id = sensor_readings.device;

create view readings_text as
select null::integer as series_id, null::timestamptz as ts, null::text as value, null::xid as xmin
where false;

create view dead_letters as
select null::text as reason, null::bytea as payload, null::text as device, null::text as topic,
    null::text as tenant
where false;
