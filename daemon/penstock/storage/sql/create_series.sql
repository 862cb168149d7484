-- Creates the series (tenant, device, metric, unit) that are missing; the order and the rest as for
-- tenants.
insert into series (device_id, metric, unit)
select devices.device_id, wanted.metric, wanted.unit
from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    as wanted (tenant, device, metric, unit)
join tenants on tenants.name = wanted.tenant
join devices on devices.tenant_id = tenants.tenant_id and devices.name = wanted.device
where not exists (
    select from series
    where series.device_id = devices.device_id and series.metric = wanted.metric
)
order by devices.device_id, wanted.metric
on conflict (device_id, metric) do nothing
