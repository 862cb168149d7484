-- The devices with numbers above $1, oldest first.
select devices.device_id, tenants.name, devices.name
from devices
join tenants using (tenant_id)
where devices.device_id > $1
order by devices.device_id
