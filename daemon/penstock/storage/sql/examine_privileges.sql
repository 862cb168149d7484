-- What this role lacks of what the daemon does with the tables, of those that are there; and whether it
-- may change the schema: make tables in it, and alter all that are ours.
with needed (relation, privilege) as (
    values
        ('tenants', 'select'), ('tenants', 'insert'),
        ('devices', 'select'), ('devices', 'insert'), ('devices', 'update'),
        ('series', 'select'), ('series', 'insert'),
        ('readings', 'select'), ('readings', 'insert'),
        ('readings_text', 'select'), ('readings_text', 'insert'),
        ('latest', 'select'), ('latest', 'insert'), ('latest', 'update'),
        ('dead_letters', 'insert'),
        ('schema_migrations', 'select')
)
select
    array(
        select privilege || ' on ' || relation
        from needed
        where not has_table_privilege(to_regclass(relation)::oid, privilege)
        union all
        select 'temporary on database ' || current_database()
        where not has_database_privilege(current_database(), 'temporary')
    ) as missing,
    coalesce(has_schema_privilege(current_schema(), 'create'), false)
    and not exists (
        select
        from pg_class
        where oid in (select to_regclass(relation)::oid from needed)
            and not pg_has_role(relowner, 'usage')
    ) as may_migrate
