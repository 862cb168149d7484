"""The bounded queue of sealed batches between the intake and the writers.

Invariants: batches leave in the order in which they came; a batch counts against the bounds until
it is settled, not only until a writer takes it, so the bounds are bounds on memory; how long a
batch has waited counts from when it was put, also after it was taken and given back. `put` never
refuses and never drops: the intake is told to pause when a bound is reached, and overshoots by
what one read of the socket can hold.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from penstock.clock import Clock
from penstock.model import Batch

BATCH_BYTES = 2_048
"""What a batch is counted as beside its content, so that many small ones are bounded as well."""


class BatchQueue:
    """First in, first out; bounded by rows and by bytes."""

    def __init__(
        self,
        *,
        max_rows: int,
        max_bytes: int,
        on_full: Callable[[], None],
        on_room: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`on_full` is called at a bound, `on_room` when half of every bound is free again."""
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._on_full = on_full
        self._on_room = on_room
        self._clock = clock
        self._waiting: deque[Batch] = deque()
        self._put_seconds: dict[int, float] = {}
        """When each unsettled batch was put, by number."""
        self._arrived = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.unsettled: dict[int, Batch] = {}
        """Every batch waiting or in a writer's hands, by number, oldest first."""
        self.rows = 0
        """Rows of the unsettled batches: readings and dead letters."""
        self.size_bytes = 0
        self.full = False

    @property
    def overfull(self) -> bool:
        """Whether it holds twice as much as it should."""
        return self.rows >= 2 * self._max_rows or self.size_bytes >= 2 * self._max_bytes

    @property
    def crowded(self) -> bool:
        """Whether more than half of a bound is taken while batches wait for a writer."""
        half_taken = self.rows > self._max_rows // 2 or self.size_bytes > self._max_bytes // 2
        return half_taken and bool(self._waiting)

    @property
    def waited_seconds(self) -> float:
        """How long the oldest waiting batch has waited for a writer; 0 when there is none."""
        if not self._waiting:
            return 0.0
        return self._clock.monotonic_seconds() - self._put_seconds[self._waiting[0].number]

    def __len__(self) -> int:
        """Batches waiting for a writer."""
        return len(self._waiting)

    def put(self, batch: Batch) -> None:
        """Append a batch; never blocks."""
        self._waiting.append(batch)
        self.unsettled[batch.number] = batch
        self._put_seconds[batch.number] = self._clock.monotonic_seconds()
        self.rows += batch.rows
        self.size_bytes += batch.size_bytes + BATCH_BYTES
        self._arrived.set()
        self._settled.clear()
        if not self.full and (self.rows >= self._max_rows or self.size_bytes >= self._max_bytes):
            self.full = True
            self._on_full()

    async def get(self) -> Batch:
        """The oldest waiting batch; waits for one."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def take(self, batches: int, waited_seconds: float) -> list[Batch]:
        """Those that have waited for so long, the oldest first, and at most so many."""
        taken: list[Batch] = []
        while len(taken) < batches and self._waiting and self.waited_seconds >= waited_seconds:
            taken.append(self._waiting.popleft())
        return taken

    def give_back(self, batches: Sequence[Batch]) -> None:
        """Put batches that were taken back where they came from, the oldest first."""
        self._waiting.extendleft(reversed(batches))
        if self._waiting:
            self._arrived.set()

    def settle(self, batch: Batch) -> None:
        """The batch is safe and counts no longer."""
        del self.unsettled[batch.number]
        del self._put_seconds[batch.number]
        self.rows -= batch.rows
        self.size_bytes -= batch.size_bytes + BATCH_BYTES
        if not self.unsettled:
            self._settled.set()
        if (
            self.full
            and self.rows <= self._max_rows // 2
            and self.size_bytes <= self._max_bytes // 2
        ):
            self.full = False
            self._on_room()

    async def join(self) -> None:
        """Wait until every batch that was put is settled."""
        await self._settled.wait()
