"""`penstock dead-letters`: what could not be stored, to be looked at, replayed and purged."""

import asyncio
import sys
from typing import Annotated

import typer

from penstock.cli.configuration import ConfigFile, settings_from
from penstock.cli.exits import ExitCode
from penstock.cli.letter_options import (
    OlderThan,
    ReasonOption,
    Since,
    Status,
    Tenant,
    described,
    selection_of,
)
from penstock.cli.output import say
from penstock.errors import ConfigError

dead_letters = typer.Typer(
    help="Look at what could not be stored, replay it, purge it.", no_args_is_help=True
)


@dead_letters.command("list")
def list_letters(
    config: ConfigFile = None,
    *,
    tenant: Tenant = None,
    reason: ReasonOption = None,
    status: Status = None,
    since: Since = None,
    older_than: OlderThan = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line, payload included.")
    ] = False,
) -> None:
    """List dead letters, the newest first."""
    from penstock.cli.letter_work import print_list

    settings = settings_from(config)
    selection = selection_of(
        tenant=tenant, reason=reason, status=status, since=since, older_than=older_than
    )
    asyncio.run(print_list(settings, selection, limit, as_json=json))


@dead_letters.command()
def show(
    dead_letter_id: Annotated[int, typer.Argument(metavar="ID", show_default=False)],
    config: ConfigFile = None,
) -> None:
    """Show everything about one dead letter.

    The payload is shown as text, or in hexadecimal when it is not printable.
    """
    from penstock.cli.letter_work import print_one

    asyncio.run(print_one(settings_from(config), dead_letter_id))


@dead_letters.command()
def replay(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", help="These, whatever their status.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that are new.")] = False,
    tenant: Tenant = None,
    reason: ReasonOption = None,
    since: Since = None,
    older_than: OlderThan = None,
) -> None:
    """Decode dead letters again and store their readings.

    Today's configuration decides, and timestamps are judged by the time of receipt. Choose by ids,
    or by options among those that are new. What is stored is marked as replayed; what is refused
    again stays as it is, and is listed with today's reason. Doing it twice stores nothing twice.
    The exit status is 5 when any was refused.
    """
    from penstock.cli.letter_work import replay_chosen

    chosen = any(option is not None for option in (tenant, reason, since, older_than))
    if [bool(ids), everything, chosen].count(True) != 1:
        raise ConfigError("choose what to replay: ids, or options such as --reason, or --all")
    settings = settings_from(config)
    selection = selection_of(
        tenant=tenant, reason=reason, status="new", since=since, older_than=older_than
    )
    if asyncio.run(replay_chosen(settings, ids or [], selection)):
        raise typer.Exit(ExitCode.REFUSED)


@dead_letters.command()
def purge(
    config: ConfigFile = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    tenant: Tenant = None,
    reason: ReasonOption = None,
    status: Status = None,
    since: Since = None,
    older_than: OlderThan = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters for good."""
    from penstock.cli.letter_work import count_chosen, purge_chosen

    chosen = any(option is not None for option in (tenant, reason, status, since, older_than))
    if everything == chosen:
        raise ConfigError("choose what to delete: options such as --older-than 30d, or --all")
    settings = settings_from(config)
    selection = selection_of(
        tenant=tenant, reason=reason, status=status, since=since, older_than=older_than
    )
    if not yes:
        _require_somebody_to_ask()
        count = asyncio.run(count_chosen(settings, selection))
        if not typer.confirm(f"Delete {described(selection)} for good? These are {count} now."):
            say("nothing was deleted")
            return
    asyncio.run(purge_chosen(settings, selection))


def _require_somebody_to_ask() -> None:
    if not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask: repeat it with --yes")
