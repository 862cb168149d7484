"""`penstock run`: the daemon."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.configuration import ConfigFile, FileArgument, load, one_of
from penstock.cli.exits import ExitCode
from penstock.errors import ConfigError, FatalError

if TYPE_CHECKING:
    from penstock.observability.logs import LogLevel
    from penstock.settings.tree import Settings


class Level(StrEnum):
    """The values of `log.level`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    file: FileArgument = None,
    config: ConfigFile = None,
    *,
    log_level: Annotated[
        Level | None,
        typer.Option(help="Overrides log.level of the configuration.", show_default=False),
    ] = None,
) -> None:
    """Run the daemon, until SIGTERM, SIGINT or SIGHUP.

    The signal stops the intake; what was received is stored and acknowledged, and the exit status
    is 0. A second SIGTERM or SIGINT ends it at once with 4: what was not acknowledged, the broker
    sends again. SIGUSR1 makes the log one step more verbose, and SIGUSR2 takes it back.
    """
    import msgspec
    import structlog

    from penstock.observability import logs

    settings, warnings = load(one_of(file, config))
    if log_level is not None:
        log = msgspec.structs.replace(settings.log, level=log_level.value)
        settings = msgspec.structs.replace(settings, log=log)
    level = logs.configure(settings.log)
    for warning in warnings:
        structlog.get_logger(__name__).warning("configuration_doubtful", warning=warning)
    raise typer.Exit(_serve(settings, level))


def _serve(settings: "Settings", level: "LogLevel") -> ExitCode:
    """Run the daemon; from here on whatever is said is said in the log, whose lines stay whole."""
    import structlog
    import uvloop

    from penstock.app import exhaustion
    from penstock.app.process import ForcedShutdown

    log = structlog.get_logger(__name__)
    try:
        uvloop.run(_serve_following_signals(settings, level))
    except ConfigError as error:
        log.critical("configuration_unusable", error=str(error))
        return ExitCode.CONFIG
    except FatalError as error:
        log.critical("stopped_by_error", error=str(error))
        return ExitCode.FATAL
    except ForcedShutdown as error:
        log.warning("shutdown_was_forced", error=str(error))
        return ExitCode.FORCED
    except MemoryError:
        exhaustion.end()
    return ExitCode.OK


async def _serve_following_signals(settings: "Settings", level: "LogLevel") -> None:
    import asyncio

    from penstock.app.process import serve

    level.follow_signals(asyncio.get_running_loop())
    await serve(settings)
