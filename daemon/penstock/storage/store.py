"""The `Store` of the pipeline, on TimescaleDB.

Any number of writers may call it at once: each call takes an idle session or opens one, so every
writer in effect keeps a connection of its own, and none waits for another.

What always holds: every wait is bounded by `storage.timeout_seconds` and whatever fails is one of
Penstock's own errors; a session whose state is unknown is hung up, never used again; and the
numbers of series are asked for anew after a connection was lost, because the database behind the
next one may have been restored from a backup that gives them to others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakSet

from penstock.errors import PoisonError, Refusal, Refused, Retryable
from penstock.model import Batch, SeriesIndex
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.store import Stored
from penstock.settings.tree import Storage
from penstock.storage.connection import connect
from penstock.storage.latest import Latest
from penstock.storage.series import forget
from penstock.storage.session import Committed, Session
from penstock.storage.status import DatabaseStatus, Standing
from penstock.storage.verdict import judged

FAREWELL_SECONDS = 1.0
"""For all connections together: a shutdown does not wait for a database that hangs."""

Result = TypeVar("Result")


class TimescaleStore:
    """Commits batches, over as many connections as there are calls at once."""

    def __init__(
        self, settings: Storage, counts: StorageCounts, latest: Latest | None = None
    ) -> None:
        """Open nothing yet; `latest`, if given, is told of every batch committed."""
        self._settings = settings
        self._counts = counts
        self._latest = latest
        self._idle: list[Session] = []
        self._indexes: WeakSet[SeriesIndex] = WeakSet()
        self._numbers_in_doubt = False
        self._standing = Standing(counts)

    @property
    def status(self) -> DatabaseStatus:
        """Whether the database answers and takes batches, as far as is known without asking."""
        return self._unless_lost(self._standing.status)

    async def check(self) -> DatabaseStatus:
        """Whether the database answers, having asked it for a sign of life."""
        try:
            await self._use_session(Session.ping)
        except Retryable as error:
            self._standing.failed(error)
        else:
            self._standing.answered()
        return self._unless_lost(self._standing.reached)

    def complain(self, error: Refused) -> None:
        """Say what the same database has refused to somebody else, unless just that was said."""
        self._standing.complain(error)

    async def store(self, batch: Batch) -> Stored:
        self._indexes.add(batch.index)
        try:
            committed = await self._commit(batch)
        except PoisonError:
            self._standing.took_batch()
            raise
        except Retryable as error:
            self._standing.failed_to_store(error)
            raise
        self._standing.took_batch()
        if self._latest is not None:
            self._latest.note(batch, committed.numbers, committed.texts)
        return committed.stored

    async def close(self) -> None:
        """Close the connections, in a second even if the database hangs; none may be in use."""
        sessions, self._idle = self._idle, []
        try:
            with suppress(Retryable), judged():
                async with asyncio.timeout(FAREWELL_SECONDS):
                    for session in sessions:
                        await session.close()
        finally:
            for session in sessions:
                session.terminate()

    async def _commit(self, batch: Batch) -> Committed:
        try:
            return await self._use_session(lambda session: session.commit(batch))
        except PoisonError as error:
            if batch.readings:
                raise
            # What cannot even become a dead letter has no other place: it waits until it can.
            raise Refused(
                Refusal.DEAD_LETTERS,
                "the database refuses dead letters; mend its schema"
                f" ({error.sqlstate}: {error.detail})",
            ) from error

    def _unless_lost(self, status: DatabaseStatus) -> DatabaseStatus:
        if status.connected and self._idle and all(each.closed for each in self._idle):
            return DatabaseStatus(connected=False, detail="the connection was lost")
        return status

    async def _use_session(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        with judged():
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await self._use_session_unbounded(work)

    async def _use_session_unbounded(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        session = await self._take_session()
        try:
            with judged():
                result = await work(session)
        except PoisonError:
            self._idle.append(session)
            raise
        except BaseException:
            self._discard(session)
            raise
        self._idle.append(session)
        return result

    async def _take_session(self) -> Session:
        for session in [session for session in self._idle if session.closed]:
            self._idle.remove(session)
            self._discard(session)
        if self._idle:
            return self._idle.pop()
        connection = await connect(self._settings.dsn, self._settings.timeout_seconds)
        if self._numbers_in_doubt:
            self._forget_numbers()
        return Session(connection, self._counts, self._settings.timeout_seconds)

    def _discard(self, session: Session) -> None:
        session.terminate()
        self._numbers_in_doubt = True

    def _forget_numbers(self) -> None:
        for index in self._indexes:
            forget(index)
        self._numbers_in_doubt = False
