"""From a log event to the line that is written."""

import logging
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from penstock.observability.json_lines import json_line, plain

_FIRST_KEYS = ("timestamp", "level", "event", "logger")
_MULTILINE_KEYS = frozenset({"exception", "stack"})


def render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """The event as one line of JSON, what every event has first."""
    ordered = {key: event.pop(key) for key in _FIRST_KEYS if key in event}
    return json_line({**ordered, **event})


class Console:
    """Renders for people; values lose what could steer a terminal or pass for another line."""

    def __init__(self, *, colors: bool) -> None:
        # The default formatter of tracebacks shows local variables, and secrets with them.
        self._render = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        safe = {key: _for_terminal(value, key) for key, value in event.items()}
        return str(self._render(logger, method, safe))


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines; a record that cannot be formatted becomes a line that says so."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 - whatever a library logs, the log goes on
            return json_line(
                {
                    "level": "error",
                    "event": "log_record_unusable",
                    "logger": record.name,
                    "message": record.msg,
                    "error": error,
                }
            )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """The stream itself is broken, and there is nowhere else to say so."""


def _for_terminal(value: object, key: str) -> object:
    value = plain(value)
    if not isinstance(value, str):
        return value
    kept = "\n" if key in _MULTILINE_KEYS else ""
    return "".join(
        character if character.isprintable() or character in kept else ascii(character)[1:-1]
        for character in value
    )
