"""How many messages a peer has stored so far, asked of the database without disturbing it much.

To count rows costs the more the more there are. So the database spends a twentieth of its time at
most on counting them, on one core, and between two counts they are as many more as the table has
grown. This only decides how far the generator runs ahead; what is reported is counted by the
oracle.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

from benchmarks.progress import Gauge, new_counter, open_counter

_POLL_SECONDS = 0.1
_PAUSE_RATIO = 19.0
"""Of the time between two counts to that of a count."""
_ONE_CORE = {"max_parallel_workers_per_gather": "0"}
_SIZE = """
select coalesce(sum(pg_relation_size(chunk)), 0)::bigint
from show_chunks('sensor_readings') as chunk
"""
_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a statement that was cut off
)
"""What is raised when the database is restarted, where that is being measured."""
_COUNT = "select count(*) from sensor_readings"


class Estimate:
    """The rows of a table that grows, by what was counted last and its size since then."""

    def __init__(self) -> None:
        self._rows = self._bytes = 0

    def learn(self, rows: int, size_bytes: int) -> None:
        """Take in what was counted at a size."""
        self._rows, self._bytes = rows, size_bytes

    def rows_at(self, size_bytes: int) -> int:
        """How many rows there are at a size."""
        return self._rows * size_bytes // self._bytes if self._bytes else self._rows


@contextmanager
def counted_messages(dsn: str, path: Path, *, rows_per_message: int) -> Iterator[Gauge]:
    """A gauge that shows what was stored in the table since it was made."""
    new_counter(path)
    watch = _Watch(dsn, path, rows_per_message)
    with ThreadPoolExecutor(1, "count") as thread:
        counting = thread.submit(asyncio.run, watch.run())
        counting.add_done_callback(lambda _: watch.begun.set())
        try:
            watch.begun.wait()
            if not counting.done():
                yield Gauge("counter", path=str(path))
        finally:
            watch.stopping.set()
            counting.result()  # what went wrong there explains whatever went wrong here


class _Watch:
    """Keeps a counter, in a thread of its own."""

    def __init__(self, dsn: str, path: Path, rows_per_message: int) -> None:
        self.begun = threading.Event()
        """Set when it is known what was there before, or never will be."""
        self.stopping = threading.Event()
        self._dsn = dsn
        self._counter = open_counter(path)
        self._rows_per_message = rows_per_message
        self._estimate = Estimate()
        self._count_at = 0.0
        self._before_rows = 0

    async def run(self) -> None:
        """Count until told to stop, over as many connections as it takes."""
        while not self.stopping.is_set():
            with suppress(*_AWAY):
                await self._count_over(await asyncpg.connect(self._dsn, server_settings=_ONE_CORE))
            await asyncio.sleep(_POLL_SECONDS)

    async def _count_over(self, connection: asyncpg.Connection) -> None:
        try:
            await self._count(connection)
        finally:
            connection.terminate()

    async def _count(self, connection: asyncpg.Connection) -> None:
        if not self.begun.is_set():
            self._before_rows = await self._rows(connection)
            self.begun.set()
        while not self.stopping.is_set():
            rows = await self._rows(connection)
            self._counter[0] = (rows - self._before_rows) // self._rows_per_message
            await asyncio.sleep(_POLL_SECONDS)

    async def _rows(self, connection: asyncpg.Connection) -> int:
        size_bytes = await connection.fetchval(_SIZE)
        started_at = time.monotonic()
        if started_at >= self._count_at:
            self._estimate.learn(await connection.fetchval(_COUNT), size_bytes)
            ended_at = time.monotonic()
            self._count_at = ended_at + _PAUSE_RATIO * (ended_at - started_at)
        return self._estimate.rows_at(size_bytes)
