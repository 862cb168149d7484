-- How the server stands with TimescaleDB; both settings are null where it does not load it.
select
    (select extversion from pg_extension where extname = 'timescaledb') as version,
    (select default_version from pg_available_extensions where name = 'timescaledb') as available,
    current_setting('timescaledb.disable_load', true) is not null as is_preloaded,
    current_setting('timescaledb.license', true) as license,
    (
        has_database_privilege(current_database(), 'create')
        and exists (
            select from pg_available_extension_versions where name = 'timescaledb' and trusted
        )
        or (select rolsuper from pg_roles where rolname = current_user)
    ) as may_create
