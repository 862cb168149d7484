"""`penstock migrate`: the database's schema."""

import asyncio

from penstock.cli.configuration import ConfigFile, FileArgument, one_of, settings_from
from penstock.cli.output import say


def migrate(file: FileArgument = None, config: ConfigFile = None) -> None:
    """Bring the schema of the database up to date.

    Prints what was applied. Running it again, or several at once, is safe: each migration is
    applied once. The daemon does the same when it starts, unless storage.migrate_on_start is off.
    """
    from penstock.storage.migrate import migrate as apply_migrations

    settings = settings_from(one_of(file, config))
    applied = asyncio.run(apply_migrations(settings.storage.dsn))
    for name in applied:
        say(f"applied {name}")
    if not applied:
        say("nothing to apply: the schema is up to date")
