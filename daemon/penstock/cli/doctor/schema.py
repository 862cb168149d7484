"""What is in the database, TimescaleDB and our tables, judged from what it said. Pure."""

import msgspec

from penstock.cli.doctor.amounts import counted
from penstock.cli.doctor.finding import Finding, note, ok, problem
from penstock.settings.tree import Settings

_UNFIT = "Until then the daemon stores nothing in it."


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """TimescaleDB on that server."""

    version: str | None
    """In this database; `None` where it is not created."""
    available: str | None
    """What is installed on the server."""
    is_preloaded: bool
    license: str | None
    may_create: bool


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """The tables, and what the role may do with them."""

    newest: str
    """The last migration of this version of Penstock."""
    pending: tuple[str, ...]
    fault: str = ""
    """Why its migrations and ours do not fit together, or cannot be read."""
    missing_privileges: tuple[str, ...]
    may_migrate: bool


def judge_extension(settings: Settings, extension: Extension) -> Finding:
    """Whether TimescaleDB is there, and which edition."""
    check = "database.timescaledb"
    if extension.available is None and extension.version is None:
        return problem(
            check,
            "The server has no TimescaleDB.",
            "Install the package for its version of PostgreSQL, add timescaledb to "
            "shared_preload_libraries and restart it.",
        )
    if not extension.is_preloaded:
        return problem(
            check,
            f"The server has TimescaleDB {extension.available} and does not load it.",
            "Add timescaledb to shared_preload_libraries in postgresql.conf and restart it.",
        )
    if extension.version is None:
        if settings.storage.migrate_on_start and extension.may_create:
            return note(
                check,
                f"The database has no TimescaleDB yet; the daemon will create it "
                f"({extension.available}).",
            )
        return problem(
            check,
            f"The database has no TimescaleDB, of which the server has {extension.available}.",
            "Run `penstock migrate`."
            if extension.may_create
            else "Let the database's owner or a superuser run in it: CREATE EXTENSION timescaledb",
        )
    if extension.license == "apache":
        edition = "the Apache 2 edition, which cannot compress old readings"
    else:
        edition = f"the edition under the licence {extension.license}"
    return ok(check, f"TimescaleDB {extension.version}, {edition}.")


def judge_schema(settings: Settings, schema: Schema) -> Finding:
    """Whether the migrations of this version are there, or can be."""
    check = "database.schema"
    if schema.fault:
        return problem(check, f"The schema does not fit: {schema.fault}", _UNFIT)
    if not schema.pending:
        return ok(check, f"The schema is up to date ({schema.newest}).")
    text = (
        f"The schema lacks {counted(len(schema.pending), 'migration')}: {', '.join(schema.pending)}"
    )
    if not schema.may_migrate:
        return problem(
            check,
            f"{text}; the role may not apply them, because it does not own the tables or may not "
            "create any.",
            "Run `penstock migrate` as the owner of the tables, or let the role own the schema.",
        )
    if settings.storage.migrate_on_start:
        return note(check, f"{text}. The daemon applies them when it starts.")
    return problem(
        check,
        f"{text}; storage.migrate_on_start is false, so the daemon stores nothing until they are "
        "applied.",
        "Run `penstock migrate`.",
    )


def judge_privileges(schema: Schema) -> Finding:
    """Whether the role may do what the daemon does."""
    check = "database.privileges"
    if schema.missing_privileges:
        lacking = ", ".join(schema.missing_privileges)
        return problem(
            check, f"The role lacks {lacking}.", "GRANT it, or let the role own the tables."
        )
    return ok(check, "The role may do all that the daemon does with the tables that are there.")
