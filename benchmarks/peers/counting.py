"""How many messages a peer has stored so far, asked of the database without disturbing it.

To count rows costs the more the more there are. So they are counted whenever the table has doubled,
and in between they are as many as its size says. This only decides how far the generator runs
ahead; what is reported is counted by the oracle.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

from benchmarks.progress import Gauge, new_counter, open_counter

_ALWAYS_COUNTED_BYTES = 1 << 20
_POLL_SECONDS = 0.1
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
    """The rows of a table that only grows, by its size."""

    def __init__(self) -> None:
        self._rows = self._bytes = 0

    def wants_count(self, size_bytes: int) -> bool:
        """Whether the rows should be counted at this size."""
        return size_bytes < _ALWAYS_COUNTED_BYTES or size_bytes >= 2 * self._bytes

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
    thread = threading.Thread(target=asyncio.run, args=(watch.run(),), name="count")
    thread.start()
    try:
        watch.begun.wait()
        yield Gauge("counter", path=str(path))
    finally:
        watch.stopping.set()
        thread.join()


class _Watch:
    """Keeps a counter, in a thread of its own."""

    def __init__(self, dsn: str, path: Path, rows_per_message: int) -> None:
        self.begun = threading.Event()
        """Set when it is known what was there before."""
        self.stopping = threading.Event()
        self._dsn = dsn
        self._counter = open_counter(path)
        self._rows_per_message = rows_per_message
        self._estimate = Estimate()
        self._before_rows = 0

    async def run(self) -> None:
        """Count until told to stop, over as many connections as it takes."""
        try:
            while not self.stopping.is_set():
                with suppress(*_AWAY):
                    await self._count_over(await asyncpg.connect(self._dsn))
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            self.begun.set()

    async def _count_over(self, connection: asyncpg.Connection) -> None:
        try:
            await self._count(connection)
        finally:
            connection.terminate()

    async def _count(self, connection: asyncpg.Connection) -> None:
        if not self.begun.is_set():
            self._before_rows = await _rows(connection, self._estimate)
            self.begun.set()
        while not self.stopping.is_set():
            rows = await _rows(connection, self._estimate)
            self._counter[0] = (rows - self._before_rows) // self._rows_per_message
            await asyncio.sleep(_POLL_SECONDS)


async def _rows(connection: asyncpg.Connection, estimate: Estimate) -> int:
    size_bytes = await connection.fetchval(_SIZE)
    if estimate.wants_count(size_bytes):
        estimate.learn(await connection.fetchval(_COUNT), size_bytes)
    return estimate.rows_at(size_bytes)
