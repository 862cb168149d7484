"""Server processes that end with the process that started them.

Each is started through `setpriv --pdeathsig`, which asks the kernel to signal it when its parent
ends (PR_SET_PDEATHSIG, prctl(2)), so that not even `kill -9` of the parent leaves one behind. To
the kernel the parent is the *thread* that forked, hence one thread that lives as long as this
process starts all of them. Where there is no `setpriv` (util-linux), servers outlive a killed
parent.

A server has a session of its own: Ctrl-C at the terminal reaches only this process, which then
stops its servers in the order it wants.
"""

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from penstock.sandbox.errors import SandboxError

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.01
_LOG_TAIL_BYTES = 4_000


class Process:
    """One server program that is started and stopped over and over, its output going to one log."""

    def __init__(
        self,
        name: str,
        *,
        log_path: Path,
        death_signal: signal.Signals,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a program; `environment` comes on top of this process's own."""
        self.name = name
        self.log_path = log_path
        self._death_signal = death_signal
        self._user = user
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The running program's process id.

        Raises:
            SandboxError: it does not run.
        """
        if self._process is None or not self.running:
            raise SandboxError(f"{self.name} is not running")
        return self._process.pid

    def start(self, arguments: Sequence[str | Path], ready: Callable[[], bool]) -> None:
        """Run a program and return when `ready` says so.

        Raises:
            SandboxError: it runs already, ended, or was not ready in time.
        """
        if self.running:
            raise SandboxError(f"{self.name} is running already")
        command = [*dying_with_parent(self._death_signal), *map(str, arguments)]
        self._process = _spawner.spawn(
            lambda: _spawn(
                command, log_path=self.log_path, user=self._user, environment=self._environment
            )
        )
        deadline = time.monotonic() + _START_SECONDS
        # In this order: a stranger may answer in place of a program that could not take its port.
        while not ready() or not self.running:
            if not self.running:
                raise SandboxError(
                    f"{self.name} ended with status {self._process.returncode}:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                raise SandboxError(
                    f"{self.name} was not ready in {_START_SECONDS:g} s:\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Signal the program and wait for its end; nothing happens when it does not run.

        Raises:
            SandboxError: it did not end in time; it has then been killed.
        """
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise SandboxError(f"{self.name} ignored {number.name}:\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        """The end of the log, at most 4,000 bytes."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(it has written no log)"


def dying_with_parent(death_signal: signal.Signals) -> list[str]:
    """What to put before a command that is to be signalled when the thread that starts it ends."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    return [setpriv, "--pdeathsig", death_signal.name.removeprefix("SIG"), "--"]


def run(arguments: Sequence[str | Path], *, user: str | None = None) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        SandboxError: it ended with a failure; the text has its output.
    """
    result = subprocess.run(
        list(map(str, arguments)),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
        cwd="/",
        user=user,
        group=user,
    )
    output = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        raise SandboxError(f"{Path(arguments[0]).name} failed:\n{output}")
    return output


def _spawn(
    command: list[str], *, log_path: Path, user: str | None, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**_environment(), **environment},
            cwd="/",
            start_new_session=True,
            user=user,
            group=user,
        )


def _environment() -> Mapping[str, str]:
    # Logs and errors are read by tests and people alike, so they are in one language.
    return os.environ | {"LC_ALL": "C"}


class _Spawner:
    """A thread that starts processes for others and never ends by itself."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[
            tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]
        ] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def spawn(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Call `start` in the thread, and return or raise what it does."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="spawner", daemon=True)
                self._thread.start()
        started: Future[subprocess.Popen[bytes]] = Future()
        self._requests.put((start, started))
        return started.result()

    def _serve(self) -> None:
        while True:
            start, started = self._requests.get()
            try:
                started.set_result(start())
            except Exception as error:  # noqa: BLE001 - it is raised again where the call came from
                started.set_exception(error)


_spawner = _Spawner()
