"""Waits until the database has the schema that this version writes to.

What always holds: nothing that the database says ends the daemon, not even that its schema is newer
than this version. What is received meanwhile goes to the spool, or waits at the broker, until a
person has chosen a way.
"""

import asyncio
from collections.abc import Callable
from random import random

import structlog

from penstock.backoff import Backoff
from penstock.errors import FatalError, Refusal, Refused, Retryable
from penstock.observability.metrics import Metrics, Retry
from penstock.settings.tree import Storage
from penstock.storage.migrate import migrate, pending

log = structlog.get_logger(__name__)


class Schema:
    """The schema of one database, from the daemon's side."""

    def __init__(
        self, storage: Storage, metrics: Metrics, complain: Callable[[Refused], None]
    ) -> None:
        """`complain` says what a person has to see to; the store may have met it as well."""
        self._storage = storage
        self._metrics = metrics
        self._complain = complain
        self.ready = False
        """Whether it was seen to be up to date."""
        self.fault = ""
        """Why it is not, in plain words; empty while nothing is known, and when it is."""

    async def wait(self) -> None:
        """Return when it is up to date, waiting for a database that is not there yet."""
        backoff = Backoff(self._storage.retry_min_seconds, self._storage.retry_max_seconds, random)
        while True:
            try:
                await self._prepare()
            except Retryable as error:
                self._metrics.retries[Retry.DATABASE_CONNECT] += 1
                delay_seconds = backoff.next_seconds()
                self._failed(error, delay_seconds)
                await asyncio.sleep(delay_seconds)
            else:
                self.ready, self.fault = True, ""
                return

    async def _prepare(self) -> None:
        """Bring it up to date, or see that somebody else has; `Retryable`."""
        dsn, limit_seconds = self._storage.dsn, self._storage.timeout_seconds
        try:
            if self._storage.migrate_on_start:
                log.info("schema_ready", applied=await migrate(dsn, answer_seconds=limit_seconds))
            elif missing := await pending(dsn, answer_seconds=limit_seconds):
                raise Refused(
                    Refusal.SCHEMA, f"run `penstock migrate`: the schema lacks {', '.join(missing)}"
                )
        except FatalError as error:
            raise Refused(Refusal.SCHEMA, str(error)) from error

    def _failed(self, error: Retryable, delay_seconds: float) -> None:
        """Log it; what a person has to see to once, as an error."""
        news, self.fault = str(error) != self.fault, str(error)
        if not isinstance(error, Refused):
            log.warning(
                "database_unavailable", error=str(error), retry_in_seconds=round(delay_seconds, 2)
            )
            return
        self._metrics.storage.refusals[error.refusal] += 1
        if news:
            self._complain(error)
