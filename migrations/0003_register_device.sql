-- Registers a device, and its tenant, ahead of its first message: what an operator does who runs with
-- registry.auto_register off.
--
--   select register_device('acme', 'pump-7');

create or replace function register_device(tenant text, device text) returns integer
language plpgsql as $$
declare
    found_id integer;
begin
    insert into tenants (name)
    select register_device.tenant
    where not exists (select from tenants where name = register_device.tenant)
    on conflict (name) do nothing;

    insert into devices (tenant_id, name)
    select tenant_id, register_device.device
    from tenants
    where name = register_device.tenant
        and not exists (
            select from devices
            where devices.tenant_id = tenants.tenant_id and devices.name = register_device.device
        )
    on conflict (tenant_id, name) do nothing;

    select device_id into strict found_id
    from devices
    join tenants using (tenant_id)
    where tenants.name = register_device.tenant and devices.name = register_device.device;

    return found_id;
end
$$;
