-- Creates the tenants that are missing, in the order that every writer keeps, so that two who create the
-- same ones wait for each other and never deadlock. Those that exist are left out beforehand, because a
-- conflict would use up a number all the same.
insert into tenants (name)
select distinct wanted.name
from unnest($1::text[]) as wanted (name)
where not exists (select from tenants where tenants.name = wanted.name)
order by wanted.name
on conflict (name) do nothing
