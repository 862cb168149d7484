"""The log: events with key-values, as JSON or for a terminal, from all loggers of the process.

Every line of the JSON form is exactly one valid object, whatever is logged and whoever logs it:
warnings, uncaught exceptions and the standard library's loggers come the same way. Times are ISO
8601 in UTC. Secrets do not get here: `Secret` shows `***`, URLs lose their credentials, tracebacks
have no locals.

The level is the configuration's, until a signal asks for more. Libraries are never more verbose
than "info": at "debug" some of them log every packet.
"""

import asyncio
import io
import logging
import signal
import sys
import threading
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import Processor

from penstock.observability.log_lines import Console, LineHandler, render_json
from penstock.settings.tree import Log

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class LogLevel:
    """The level in force: what is configured, or more for a while."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self.current = configured
        self.set(configured)

    def set(self, configured: str) -> None:
        """Make this the configured level, and the one in force."""
        self._configured = configured
        self._apply(configured)

    def more(self) -> None:
        """One step more verbose; at "debug" there is none."""
        position = list(LEVELS).index(self.current)
        self._apply(list(LEVELS)[max(position - 1, 0)])

    def reset(self) -> None:
        """Back to the configured level."""
        self._apply(self._configured)

    def follow_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """SIGUSR1 is `more`, SIGUSR2 is `reset`."""
        loop.add_signal_handler(signal.SIGUSR1, self.more)
        loop.add_signal_handler(signal.SIGUSR2, self.reset)

    def _apply(self, level: str) -> None:
        changed, self.current = level != self.current, level
        logging.getLogger("penstock").setLevel(LEVELS[level])
        logging.getLogger().setLevel(max(LEVELS[level], logging.INFO))
        if changed:
            structlog.get_logger(__name__).warning("log_level_changed", now=level)


def configure(settings: Log, stream: TextIO | None = None) -> LogLevel:
    """Send every log to `stream`, standard error by default; to be called once, before all else."""
    stream = sys.stderr if stream is None else stream
    _speak_utf8(stream)
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    render = Console(colors=stream.isatty()) if console else render_json
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = LineHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common_processors(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    logging.captureWarnings(capture=True)
    _log_uncaught()
    return LogLevel(settings.level)


def _common_processors() -> list[Processor]:
    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _log_uncaught() -> None:
    """Have what would be printed raw on its way to a crash logged instead."""

    def uncaught(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        exc_info = (kind, error if error is not None else kind(), trace)
        structlog.get_logger(__name__).critical("uncaught_exception", exc_info=exc_info)

    sys.excepthook = uncaught
    threading.excepthook = lambda info: uncaught(info.exc_type, info.exc_value, info.exc_traceback)
    sys.unraisablehook = lambda info: uncaught(info.exc_type, info.exc_value, info.exc_traceback)


def _speak_utf8(stream: TextIO) -> None:
    # Under an ASCII locale Python would write "\xe9" into a JSON string, which is not JSON.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
