"""`penstock spool`: what waits on the local disk, to be looked at, checked and drained."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.configuration import ConfigFile, settings_from
from penstock.cli.exits import ExitCode
from penstock.errors import ConfigError

if TYPE_CHECKING:
    from penstock.settings.tree import Settings

spool = typer.Typer(
    help="Look at the buffer on disk, check it, drain it. For the daemon's user.",
    no_args_is_help=True,
)

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="This spool instead, for example one that was moved aside.",
        show_default=False,
    ),
]


@spool.command()
def status(config: ConfigFile = None) -> None:
    """Say what is in the spool.

    While a daemon has it, the daemon is asked, at http.listen.
    """
    from penstock.cli.spool_work import print_status

    settings = settings_from(config)
    print_status(_path(settings), settings)


@spool.command()
def drain(config: ConfigFile = None) -> None:
    """Store everything in the spool, with the daemon stopped.

    For a spool whose daemon will not run again; a daemon drains its own. Ends when the spool is
    empty, and at the first thing that the database does not take; doing it again goes on.
    """
    from penstock.cli.spool_work import drain_spool

    settings = settings_from(config)
    asyncio.run(drain_spool(_path(settings), settings))


@spool.command()
def verify(config: ConfigFile = None, *, file: File = None) -> None:
    """Read all of a spool and check it, with the daemon stopped.

    The exit status is 5 when anything is damaged. Nothing is changed: the daemon sets aside what is
    damaged when it comes to it.
    """
    from penstock.cli.spool_work import verify_spool

    if not verify_spool(file or _path(settings_from(config))):
        raise typer.Exit(ExitCode.REFUSED)


@spool.command()
def export(config: ConfigFile = None, *, file: File = None) -> None:
    """Print everything in a spool, a JSON object a line, with the daemon stopped.

    Readings have tenant, device, metric, ts, value and quality; dead letters have reason, topic
    and payload. What is damaged is left out, and said. Nothing is changed.
    """
    from penstock.cli.spool_work import export_spool

    export_spool(file or _path(settings_from(config)))


def _path(settings: "Settings") -> Path:
    if settings.spool.path is None:
        raise ConfigError("spool.path: is null, so there is no spool")
    return Path(settings.spool.path)
