"""Makes system calls of a running process fail, with strace's fault injection.

What always holds: when the block begins, every thread of the process is traced, so the next call is
the first that can fail; when it ends, none is, and the process goes on as before. A call that is
made to fail does not reach the kernel. Tracing slows the named calls down, and others a little.
Skipped, with the reason, where strace is missing or not allowed to trace.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ATTACH_SECONDS = 30.0
POLL_SECONDS = 0.005

SYNCING = ("fsync", "fdatasync")
"""What puts a file on the disk."""
WRITING = ("write", "pwrite64", "writev", "pwritev")


class Injection:
    """Faults that are being injected."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @property
    def count(self) -> int:
        """How many calls were made to fail so far, or were delayed."""
        calls = self._log.read_text(errors="replace")
        return calls.count("(INJECTED)") + calls.count("(DELAYED)")


@contextmanager
def failing(
    process_id: int,
    calls: Sequence[str] = SYNCING,
    *,
    error: str = "EIO",
    when: str = "1+",
    under: Sequence[Path] = (),
) -> Iterator[Injection]:
    """Have the named calls of a process fail with `error` until the block ends.

    `when` chooses among the calls of each thread, as strace's manual says: `3` the third alone,
    `3+` from the third on, `1+2` every other one. `under` restricts it to these files.
    """
    with _traced(process_id, calls, f"error={error}:when={when}", under) as injection:
        yield injection


@contextmanager
def delayed(
    process_id: int,
    calls: Sequence[str] = SYNCING,
    *,
    seconds: float,
    under: Sequence[Path] = (),
) -> Iterator[Injection]:
    """Have the named calls of a process begin so much later until the block ends."""
    with _traced(process_id, calls, f"delay_enter={round(seconds * 1e6)}", under) as injection:
        yield injection


@contextmanager
def _traced(
    process_id: int, calls: Sequence[str], fault: str, under: Sequence[Path]
) -> Iterator[Injection]:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    names = ",".join(calls)
    with tempfile.TemporaryDirectory() as folder:
        log, complaints = Path(folder, "trace"), Path(folder, "complaints")
        log.touch()
        command = [
            strace, "-f", "-qq", "-o", str(log), "-e", f"trace={names}",
            "-e", f"inject={names}:{fault}",
            *(part for file in under for part in ("-P", str(file))),
            "-p", str(process_id),
        ]  # fmt: skip
        with complaints.open("wb") as stderr:
            tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            _wait_until_attached(process_id, tracer, complaints)
            yield Injection(log)
        finally:
            _detach(process_id, tracer)


def _wait_until_attached(
    process_id: int, tracer: subprocess.Popen[bytes], complaints: Path
) -> None:
    def attached() -> bool:
        if tracer.poll() is not None:
            pytest.skip(f"cannot trace a process: {complaints.read_text().strip()}")
        return _tracers(process_id) == {tracer.pid}

    _wait_for(attached, "every thread is traced")


def _detach(process_id: int, tracer: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        tracer.send_signal(signal.SIGINT)
    try:
        tracer.wait(ATTACH_SECONDS)
    except subprocess.TimeoutExpired:
        tracer.kill()
        tracer.wait()
    _wait_for(lambda: tracer.pid not in _tracers(process_id), "no thread is traced")


def _tracers(process_id: int) -> set[int]:
    """Who traces the threads of a process; 0 is nobody."""
    found = set()
    with suppress(FileNotFoundError):
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            # A thread may end meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                status = (thread / "status").read_text()
                (line,) = [one for one in status.splitlines() if one.startswith("TracerPid:")]
                found.add(int(line.split()[1]))
    return found


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ATTACH_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(POLL_SECONDS)
