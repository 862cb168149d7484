"""A running `penstock tap` whose lines can be waited for."""

import json
import queue
import signal
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.command_line import HANG_SECONDS, PENSTOCK


class Tap:
    """As a context manager it runs, and is killed at the end if it still does."""

    def __init__(self, config: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*PENSTOCK, "tap", "--config", str(config), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.join()

    def line(self, wait_seconds: float = HANG_SECONDS) -> str | None:
        """The next line, or `None` when there is none in the time; `EOFError` when it has ended."""
        try:
            line = self._lines.get(timeout=wait_seconds)
        except queue.Empty:
            return None
        if line is None:
            raise EOFError(self.end())
        return line

    def record(self) -> dict[str, Any]:
        """The next line as JSON."""
        line = self.line()
        assert line is not None
        record: dict[str, Any] = json.loads(line)
        return record

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Its exit status and what it wrote to standard error, after a signal if one is given."""
        if number is not None:
            self._process.send_signal(number)
        self._reader.join(HANG_SECONDS)
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        return self._process.wait(HANG_SECONDS), errors

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)
