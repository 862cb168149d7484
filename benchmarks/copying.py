"""The two who copy rows into the database: Penstock's store, and `psql`, which is written in C.

Each opens its connections and warms them up before its clock starts, and stops it when the last
commit has returned.
"""

import asyncio
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.frame import BenchError
from benchmarks.made_batches import Made
from benchmarks.noise import Listener, Noise
from penstock.clock import SystemClock
from penstock.model import Batch
from penstock.observability.metrics import StorageCounts
from penstock.sandbox.programs import find_postgresql
from penstock.settings.secret import Secret
from penstock.settings.tree import Storage
from penstock.storage.latest import Latest
from penstock.storage.store import TimescaleStore

_READY = "ready"
_COPY = "\\copy readings (series_id, quality, ts, value) from '{path}' with (format binary)"


class Copied(NamedTuple):
    """One window."""

    rows_per_second: float
    noise: Noise
    cpu_us_per_row: float = 0.0
    """Of the client; not known of `psql`."""

    @property
    def void(self) -> bool:
        """Whether the machine was too noisy."""
        return self.noise.too_much


def copy_with_penstock(dsn: str, made: Made, writers: int) -> Copied:
    """Store the batches, so many at once."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_store_all(dsn, made, writers))


def copy_with_psql(
    dsn: str, made: Made, warm_up: Sequence[Path], batches: Sequence[Path]
) -> Copied:
    """Copy the files of the batches, in as many sessions as there are files to warm up with."""
    sessions = [_start_psql(dsn, path) for path in warm_up]
    try:
        for session in sessions:
            _wait_until_ready(session)
        listener, started = Listener(), time.monotonic()
        for number, session in enumerate(sessions):
            _begin(session, batches[number :: len(sessions)])
        for session in sessions:
            _wait_until_ready(session)
        seconds = time.monotonic() - started
    finally:
        for session in sessions:
            _end(session)
    return Copied(made.rows / seconds, listener.hear())


async def _store_all(dsn: str, made: Made, writers: int) -> Copied:
    settings = Storage(dsn=Secret(dsn))
    store = TimescaleStore(settings, StorageCounts(), Latest(settings, SystemClock()))
    try:
        await asyncio.gather(*(store.store(batch) for batch in made.warm_up[:writers]))
        batches = iter(made.batches)
        listener, started, used = Listener(), time.monotonic(), time.process_time()
        await asyncio.gather(*(_store_some(store, batches) for _ in range(writers)))
        seconds, used = time.monotonic() - started, time.process_time() - used
        return Copied(made.rows / seconds, listener.hear(), used / made.rows * 1e6)
    finally:
        await store.close()


async def _store_some(store: TimescaleStore, batches: Iterator[Batch]) -> None:
    for batch in batches:
        await store.store(batch)


def _start_psql(dsn: str, warm_up: Path) -> "subprocess.Popen[str]":
    command = [str(find_postgresql() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", dsn]
    session = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    _begin(session, [warm_up])
    return session


def _begin(session: "subprocess.Popen[str]", paths: Sequence[Path]) -> None:
    assert session.stdin is not None
    lines = [*(_COPY.format(path=path) for path in paths), f"\\echo {_READY}"]
    session.stdin.write("\n".join(lines) + "\n")
    session.stdin.flush()


def _wait_until_ready(session: "subprocess.Popen[str]") -> None:
    assert session.stdout is not None
    said = session.stdout.readline().strip()
    if said != _READY:
        raise BenchError(f"psql could not copy: {said or 'it ended'}")


def _end(session: "subprocess.Popen[str]") -> None:
    """End its input, and so the session."""
    session.communicate()
