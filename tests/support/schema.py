"""Schemas of databases: how one looks, and a migration that is held in the middle of making it.

The hold is an event trigger. It counts the commands of DDL with a sequence, which does not go back
when a transaction does: exactly one migration is held, and whoever comes after it is not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.support.daemon_process import wait_until
from tests.support.publishing import locked, rows_of

COMMANDS = 14
"""Of DDL that making a database ours takes, not counting what its extension does itself."""

# Qualified names: while an extension is made, the schema `public` is not searched.
_HOLD = (
    "create table hold ()",
    "create sequence ddl_commands",
    """create function hold() returns event_trigger language plpgsql as $$
        begin
            if exists (select from pg_event_trigger_ddl_commands() where not in_extension)
                and nextval('public.ddl_commands') = {command}
            then
                lock table public.hold in access share mode;
            end if;
        end $$""",
    "create event trigger hold on ddl_command_end execute function hold()",
)
_FORGET = (
    "drop event trigger hold",
    "drop function hold",
    "drop sequence ddl_commands",
    "drop table hold",
)

_SCHEMA = """
    select 'column', table_name, column_name, data_type || coalesce(column_default, '')
    from information_schema.columns where table_schema = 'public'
    union all
    select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
    union all
    select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = 'public'
    union all
    select 'hypertable', hypertable_name, column_name, time_interval::text
    from timescaledb_information.dimensions
    union all
    select 'view', viewname, '', definition from pg_views where schemaname = 'public'
    union all
    select 'function', proname, '', prosrc from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select 'migration', name, version::text, checksum from schema_migrations
    order by 1, 2, 3, 4
"""


def run_all(dsn: str, statements: Sequence[str]) -> None:
    """Run statements, each in a transaction of its own."""
    for statement in statements:
        rows_of(dsn, statement)


def schema_of(dsn: str) -> list[tuple[str, ...]]:
    """All that migrations make in a database, comparable."""
    return rows_of(dsn, _SCHEMA)


@contextmanager
def migration_held(dsn: str, *, at_command: int) -> Iterator[Callable[[int], None]]:
    """Hold whoever comes to the so-manieth command of DDL first, until the block ends.

    Yields what waits until so many sessions wait: the one that is held, and others for it. What
    the hold needs stays in the database until `forget_hold`.
    """
    run_all(dsn, [statement.format(command=at_command) for statement in _HOLD])

    def until_waiting(sessions: int) -> None:
        wait_until(lambda: _waiting(dsn) == sessions, f"{sessions} migrations wait")

    with locked(dsn, "hold"):
        yield until_waiting


def forget_hold(dsn: str) -> None:
    """Leave the database as if nobody had been held in it."""
    run_all(dsn, _FORGET)


def _waiting(dsn: str) -> int:
    ((sessions,),) = rows_of(
        dsn,
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'",
    )
    assert isinstance(sessions, int)
    return sessions
