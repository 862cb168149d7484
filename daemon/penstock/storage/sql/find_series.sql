-- The database's numbers of the series named by (tenant, device, metric), by position from 1; those that
-- do not exist are absent.
select wanted.position, series.series_id
from unnest($1::text[], $2::text[], $3::text[])
    with ordinality as wanted (tenant, device, metric, position)
join tenants on tenants.name = wanted.tenant
join devices on devices.tenant_id = tenants.tenant_id and devices.name = wanted.device
join series on series.device_id = devices.device_id and series.metric = wanted.metric
