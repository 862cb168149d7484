"""What the private servers have in common: how they start, stop and come back.

What always holds: a server keeps what its constructor chose (folder, port, data) over restarts; and
as a context manager it runs from the beginning of the block, and not after its end.
"""

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from penstock.sandbox.process import Process


class Server(ABC):
    """One private server; as a context manager it is started and stopped."""

    _STOP_SIGNAL: ClassVar[signal.Signals]
    """What it is asked to stop with."""

    def __init__(self, process: Process) -> None:
        """Prepare a server whose program runs as `process`."""
        self._process = process

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process.running

    @property
    def process_id(self) -> int:
        """The process id of the program that was started.

        Raises:
            SandboxError: it does not run.
        """
        return self._process.process_id

    @property
    def log_path(self) -> Path:
        """Its log, over all its runs."""
        return self._process.log_path

    @abstractmethod
    def start(self) -> None:
        """Start it and return when it answers.

        Raises:
            SandboxError: the program is missing, or it did not start.
        """

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self._process.signal(self._STOP_SIGNAL)

    def kill(self) -> None:
        """End it at once (SIGKILL), and wait."""
        self._process.signal(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
