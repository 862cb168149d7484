-- What an operator has to know of the server, and of what this role may still open there. What a
-- session has set for itself does not count, so synchronous_commit is the value that it began with.
-- Sessions of other roles hide what they are; those that have a user are counted.
select
    current_setting('server_version') as server_version,
    current_setting('server_version_num')::integer as server_version_number,
    pg_is_in_recovery() as is_standby,
    current_setting('default_transaction_read_only')::boolean as is_read_only,
    current_setting('fsync')::boolean as fsync,
    current_setting('full_page_writes')::boolean as full_page_writes,
    (select reset_val from pg_settings where name = 'synchronous_commit') as synchronous_commit,
    (select setting from pg_settings where name = 'data_directory') as data_directory,
    inet_server_addr() is not distinct from inet_client_addr() as is_same_machine,
    pg_backend_pid() as backend_pid,
    current_setting('max_connections')::integer as max_connections,
    (
        select sum(setting::integer)::integer from pg_settings
        where name in ('superuser_reserved_connections', 'reserved_connections')
    ) as reserved_connections,
    (select rolconnlimit from pg_roles where rolname = current_user) as role_limit,
    (select datconnlimit from pg_database where datname = current_database()) as database_limit,
    count(*)::integer as used,
    count(*) filter (where usename = current_user)::integer as used_by_role,
    count(*) filter (where datname = current_database())::integer as used_in_database,
    count(*) filter (
        where datname = current_database() and application_name = $1
    )::integer as used_by_penstock
from pg_stat_activity
where pid <> pg_backend_pid()
    and usesysid is not null
    and coalesce(backend_type, 'client backend') = 'client backend'
