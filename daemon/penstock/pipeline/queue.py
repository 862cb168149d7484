"""The bounded queue of sealed batches between the intake and the writers.

Invariants: batches leave in the order in which they came; a batch counts against the bounds until
it is settled, not only until a writer takes it, so the bounds are bounds on memory. `put` never
refuses and never drops: the intake is told to pause when a bound is reached, and overshoots by
what one read of the socket can hold.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

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
    ) -> None:
        """`on_full` is called at a bound, `on_room` when half of every bound is free again."""
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._on_full = on_full
        self._on_room = on_room
        self._waiting: deque[Batch] = deque()
        self._arrived = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.unsettled: dict[int, Batch] = {}
        """Every batch waiting or in a writer's hands, by number, oldest first."""
        self.crowded = asyncio.Event()
        """Set while half of a bound is reached and batches wait for a writer."""
        self.rows = 0
        """Rows of the unsettled batches: readings and dead letters."""
        self.size_bytes = 0
        self.full = False

    @property
    def overfull(self) -> bool:
        """Whether it holds twice as much as it should."""
        return self.rows >= 2 * self._max_rows or self.size_bytes >= 2 * self._max_bytes

    def __len__(self) -> int:
        """Batches waiting for a writer."""
        return len(self._waiting)

    def put(self, batch: Batch) -> None:
        """Append a batch; never blocks."""
        self._waiting.append(batch)
        self.unsettled[batch.number] = batch
        self.rows += batch.rows
        self.size_bytes += batch.size_bytes + BATCH_BYTES
        self._arrived.set()
        self._settled.clear()
        if not self.full and (self.rows >= self._max_rows or self.size_bytes >= self._max_bytes):
            self.full = True
            self._on_full()
        self._note_crowd()

    async def get(self) -> Batch:
        """The oldest waiting batch; waits for one."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        batch = self._waiting.popleft()
        self._note_crowd()
        return batch

    def take(self, batches: int) -> list[Batch]:
        """So many of the oldest waiting batches, or as many as there are."""
        taken = [self._waiting.popleft() for _ in range(min(batches, len(self._waiting)))]
        self._note_crowd()
        return taken

    def give_back(self, batches: Sequence[Batch]) -> None:
        """Put batches that were taken back where they came from, the oldest first."""
        self._waiting.extendleft(reversed(batches))
        if self._waiting:
            self._arrived.set()
        self._note_crowd()

    def settle(self, batch: Batch) -> None:
        """The batch is safe and counts no longer."""
        del self.unsettled[batch.number]
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
        self._note_crowd()

    async def join(self) -> None:
        """Wait until every batch that was put is settled."""
        await self._settled.wait()

    def _note_crowd(self) -> None:
        if self._waiting and (
            self.rows > self._max_rows // 2 or self.size_bytes > self._max_bytes // 2
        ):
            self.crowded.set()
        else:
            self.crowded.clear()
