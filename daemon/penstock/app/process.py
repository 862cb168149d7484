"""The daemon as a process: signals, errors that nobody waits for, and the one cause of its end.

What always holds: the first signal asks for an orderly end, and a second one forces it; an error in
a timer or a callback ends the daemon, because whoever counted on it would wait for ever.
"""

import asyncio
import signal
from typing import Any

import structlog

from penstock.app import exhaustion, garbage
from penstock.app.daemon import Daemon
from penstock.clock import SystemClock
from penstock.errors import PenstockError
from penstock.settings.tree import Settings
from penstock.storage.verdict import is_lost_connection

log = structlog.get_logger(__name__)

HANGUP = signal.SIGHUP.name
"""Never forces the end: when a terminal is closed, the shell sends it and the kernel again."""


class ForcedShutdown(PenstockError):  # noqa: N818 - what happened, not a failure
    """A second signal ended the daemon before it had drained."""


async def serve(settings: Settings) -> None:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP; a second of the first two forces the end.

    Errors: `ConfigError`, `FatalError` with what the operator has to do; `ForcedShutdown`.
    """
    stop_requested = asyncio.Event()
    daemon = Daemon(settings, SystemClock())
    garbage.look_seldom()
    run = asyncio.ensure_future(daemon.run(stop_requested))
    bugs: list[BaseException] = []

    def stop(name: str) -> None:
        if not stop_requested.is_set():
            log.info(
                "shutdown_requested",
                signal=name,
                drains_within_seconds=settings.shutdown_timeout_seconds,
                advice="a second SIGTERM or SIGINT ends it at once",
            )
            stop_requested.set()
        elif name != HANGUP:
            log.warning("shutdown_forced", signal=name)
            run.cancel()

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the daemon over an error in a timer or a callback, which nobody else would see."""
        exhaustion.end_because_of(context.get("exception"))
        if "handle" in context and "exception" in context:
            bugs.append(context["exception"])
            run.cancel()
        else:
            _report(loop, context)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(fail)
    for number in _stopping_signals():
        loop.add_signal_handler(number, stop, number.name)
    try:
        await run
    except asyncio.CancelledError:
        if bugs:
            raise bugs[0] from None
        raise ForcedShutdown("a second signal ended the daemon before it had drained") from None
    except BaseExceptionGroup as group:
        raise _cause(group) from None


def _stopping_signals() -> list[signal.Signals]:
    signals = [signal.SIGTERM, signal.SIGINT]
    # Under nohup it is ignored, and that is to stay so.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio has to say, quietly when it is no news."""
    if _is_driver_leftover(context):
        log.debug("database_connection_leftover", error=str(context["exception"]))
    else:
        loop.default_exception_handler(context)


def _is_driver_leftover(context: dict[str, Any]) -> bool:
    """Whether this is a future of the driver's own that a lost connection left to nobody.

    Whoever used the connection was told of the loss already. A task is somebody's work, and its
    error is always shown.
    """
    left_by_task = isinstance(context.get("future"), asyncio.Task)
    return not left_by_task and is_lost_connection(context.get("exception"))


def _cause(error: BaseException) -> BaseException:
    """The one error in a group of groups, where there is only one; else the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
