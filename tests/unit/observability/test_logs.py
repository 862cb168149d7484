"""The log of a whole process: every line, from wherever it comes, in one form."""

import io
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from penstock.observability import logs
from penstock.settings.secret import Secret
from penstock.settings.tree import Log


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("penstock")
    handlers, levels = root.handlers, (root.level, own.level)
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    with warnings.catch_warnings():
        yield
    root.handlers = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def configured(level: str = "info", form: str = "json") -> tuple[io.StringIO, logs.LogLevel]:
    stream = io.StringIO()
    return stream, logs.configure(Log(level=level, format=form), stream)  # type: ignore[arg-type]


def fail_with(message: str) -> None:
    number = len(message)  # a local variable, not to be shown
    if number:
        raise ValueError(message)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    text = stream.getvalue()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_a_line_has_time_level_event_and_logger_first() -> None:
    stream, _ = configured()
    structlog.get_logger("penstock.x").info("batch_stored", rows=3)
    (line,) = lines_of(stream)
    assert list(line) == ["timestamp", "level", "event", "logger", "rows"]
    assert line["level"] == "info"
    assert line["event"] == "batch_stored"
    assert line["logger"] == "penstock.x"
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_one_line_without_local_variables() -> None:
    stream, _ = configured()
    try:
        fail_with("at mqtt://joe:hunter2@h\nsecond line")
    except ValueError:
        structlog.get_logger("penstock.x").exception("failed")
    (line,) = lines_of(stream)
    assert "ValueError: at mqtt://***@h\nsecond line" in line["exception"]
    assert "number" not in line["exception"]


def test_the_standard_library_is_heard_in_the_same_form() -> None:
    stream, _ = configured()
    logging.getLogger("aiohttp.server").error("Error %s", "handling", exc_info=OSError("x"))
    logging.getLogger("penstock.stdlib").info("plain")
    warned, plain = lines_of(stream)
    assert warned["event"] == "Error handling"
    assert warned["logger"] == "aiohttp.server"
    assert warned["level"] == "error"
    assert "OSError: x" in warned["exception"]
    assert plain["event"] == "plain"


def test_a_record_that_cannot_be_formatted_is_reported_as_a_line() -> None:
    stream, _ = configured()
    logging.getLogger("library").error("%d items", "many")
    (line,) = lines_of(stream)
    assert line["event"] == "log_record_unusable"
    assert line["logger"] == "library"
    assert line["message"] == "%d items"


def test_warnings_are_lines_too() -> None:
    stream, _ = configured()
    warnings.simplefilter("always")
    warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    (line,) = lines_of(stream)
    assert "DeprecationWarning: old ways" in line["event"]
    assert line["level"] == "warning"


def test_libraries_are_never_at_debug() -> None:
    stream, _ = configured("debug")
    logging.getLogger("a.library").debug("a packet")
    logging.getLogger("a.library").info("a connection")
    structlog.get_logger("penstock.x").debug("ours")
    assert [line["event"] for line in lines_of(stream)] == ["a connection", "ours"]


def said_at(stream: io.StringIO) -> list[str]:
    """Which levels pass now."""
    stream.seek(0)
    stream.truncate()
    log = structlog.get_logger("penstock.x")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)(level)
    return [line["event"] for line in lines_of(stream)]


def test_the_level_is_the_configured_one_until_more_is_asked_for() -> None:
    stream, level = configured("warning")
    assert said_at(stream) == ["warning", "error"]
    level.more()
    assert said_at(stream) == ["info", "warning", "error"]
    level.more()
    level.more()
    assert level.current == "debug"
    assert said_at(stream) == ["debug", "info", "warning", "error"]
    level.reset()
    assert said_at(stream) == ["warning", "error"]
    level.set("error")
    assert said_at(stream) == ["error"]
    level.more()
    level.reset()
    assert said_at(stream) == ["error"]


def test_a_logger_made_before_the_change_follows_it() -> None:
    stream, level = configured("info")
    bound = structlog.get_logger("penstock.x").bind(writer=1)
    level.more()
    bound.debug("seen")
    assert lines_of(stream)[-1]["event"] == "seen"


def test_a_change_of_level_is_said() -> None:
    stream, level = configured("info")
    level.more()
    (line,) = lines_of(stream)
    assert (line["event"], line["now"]) == ("log_level_changed", "debug")


def test_the_console_shows_nothing_that_steers_a_terminal() -> None:
    stream, _ = configured(form="console")
    structlog.get_logger("penstock.x").info("event", topic="a\x1b[2Jb\nforged line", s=Secret("x"))
    text = stream.getvalue()
    assert "\x1b" not in text
    assert text.count("\n") == 1
    assert "forged line" in text
    assert "***" in text


def test_the_console_shows_tracebacks_without_local_variables() -> None:
    stream, _ = configured(form="console")
    try:
        fail_with("at mqtt://joe:hunter2@h")
    except ValueError:
        structlog.get_logger("penstock.x").exception("failed")
    assert "ValueError: at mqtt://***@h" in stream.getvalue()
    assert "number" not in stream.getvalue()


def test_auto_is_json_where_there_is_no_terminal() -> None:
    stream, _ = configured(form="auto")
    structlog.get_logger("penstock.x").info("event")
    assert lines_of(stream)


def run(program: str, **environ: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a program whose standard error is the log; every line of it must be JSON."""
    preamble = (
        "from penstock.observability import logs\n"
        "from penstock.settings.tree import Log\n"
        "import structlog\n"
        "level = logs.configure(Log())\n"
        "log = structlog.get_logger('penstock.test')\n"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": path, **environ},
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    lines = done.stderr.decode("utf-8").split("\n")
    return done.returncode, [json.loads(line) for line in lines[:-1]]


def test_an_ascii_locale_does_not_break_lines() -> None:
    _, lines = run("log.info('é\\ud83d')", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert [line["event"] for line in lines] == ["é\\ud83d"]


def test_what_would_end_the_process_or_a_thread_is_a_line() -> None:
    status, lines = run(
        """
        import threading
        class Bad:
            def __del__(self):
                raise KeyError("in a destructor")
        bad = Bad()
        del bad
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        raise RuntimeError("at the top")
        """
    )
    assert status == 1
    assert [line["event"] for line in lines] == ["uncaught_exception"] * 3
    for line, expected in zip(
        lines, ("KeyError", "ZeroDivisionError", "RuntimeError"), strict=True
    ):
        assert expected in line["exception"]


def test_signals_change_the_level_of_a_running_loop() -> None:
    _, lines = run(
        """
        import asyncio, os, signal
        async def main():
            level.follow_signals(asyncio.get_running_loop())
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                before = level.current
                os.kill(os.getpid(), number)
                while level.current == before:
                    await asyncio.sleep(0.01)
        asyncio.run(main())
        """
    )
    assert [(line["event"], line["now"]) for line in lines] == [
        ("log_level_changed", "debug"),
        ("log_level_changed", "info"),
    ]


def test_a_task_that_fails_unseen_is_a_line() -> None:
    _, lines = run(
        """
        import asyncio, gc
        async def main():
            async def fail():
                raise LookupError("unseen")
            asyncio.ensure_future(fail())
            await asyncio.sleep(0.01)
            gc.collect()
        asyncio.run(main())
        """
    )
    assert "LookupError: unseen" in lines[0]["exception"]
    assert lines[0]["logger"] == "asyncio"


def test_a_closed_stream_is_no_reason_to_fail() -> None:
    stream, _ = configured()
    stream.close()
    structlog.get_logger("penstock.x").info("nobody hears")
