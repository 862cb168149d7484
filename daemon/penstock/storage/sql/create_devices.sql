-- Creates the devices (tenant, device) that are missing; the order and the rest as for tenants.
insert into devices (tenant_id, name)
select distinct tenants.tenant_id, wanted.device
from unnest($1::text[], $2::text[]) as wanted (tenant, device)
join tenants on tenants.name = wanted.tenant
where not exists (
    select from devices
    where devices.tenant_id = tenants.tenant_id and devices.name = wanted.device
)
order by tenants.tenant_id, wanted.device
on conflict (tenant_id, name) do nothing
