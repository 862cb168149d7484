"""The registered devices, in memory, for an intake that takes no others.

What always holds: the answer is given without waiting; while the database is away, it is what was
known last; and `generation` changes whenever an answer may have changed, so that whoever remembers
answers knows when to forget them.

Only devices that are new since the last time are read, by their number. Numbers can become visible
out of order, and devices can be deleted, so their count is compared each time, and when it differs
all are read again. A device that was only renamed is noticed at the next such reading.
"""

import asyncio

import structlog

from penstock.errors import PenstockError, PoisonError, Refused, Retryable
from penstock.settings.tree import Registry, Storage
from penstock.storage.connection import Connection, connect
from penstock.storage.queries import query
from penstock.storage.verdict import judged

log = structlog.get_logger(__name__)


class KnownDevices:
    """Answers whether a device is registered, and keeps itself up to date."""

    def __init__(self, storage: Storage, registry: Registry) -> None:
        self._storage = storage
        self._registry = registry
        self._connection: Connection | None = None
        self._names: set[tuple[str, str]] = set()
        self._last_id = 0
        self._loaded = False
        self._failing = False
        self.fault = ""
        """Why none could be read yet; empty before the first attempt, and once they were."""
        self.generation = 0
        """Changes with every change of what is known."""

    def __len__(self) -> int:
        return len(self._names)

    def is_registered(self, tenant: str, device: str) -> bool:
        """Whether this device of this tenant was registered when the database was last asked."""
        return (tenant, device) in self._names

    async def load(self) -> None:
        """Read all registered devices, waiting for the database for as long as it takes."""
        await self._refresh()
        while not self._loaded:
            await asyncio.sleep(self._registry.refresh_seconds)
            await self._refresh()

    async def run(self) -> None:
        """Read what has changed every `registry.refresh_seconds`, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._registry.refresh_seconds)
                await self._refresh()
        finally:
            self.close()

    async def refresh(self) -> None:
        """Read what has changed now; `Retryable` when the database is unwell."""
        try:
            with judged():
                async with asyncio.timeout(self._storage.timeout_seconds):
                    await self._read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up; what is known stays."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _refresh(self) -> None:
        try:
            await self.refresh()
        except (Retryable, PoisonError) as error:
            self._failed(error)
        else:
            self._failing, self.fault = False, ""

    def _failed(self, error: PenstockError) -> None:
        if not self._failing:
            # Retrying does not help against a refusal.
            tell = log.error if isinstance(error, Refused) else log.warning
            tell("devices_not_read", error=str(error), known=len(self))
        self._failing = True
        if not self._loaded:
            self.fault = f"the registered devices cannot be read: {error}"

    async def _read(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._storage.dsn, self._storage.timeout_seconds)
            # All of it, because the database may have been restored from a backup.
            await self._read_all(self._connection)
            return
        await self._read_new(self._connection)
        count = await self._connection.fetchval(query("count_devices"), self._last_id)
        if count != len(self._names):
            await self._read_all(self._connection)

    async def _read_new(self, connection: Connection) -> None:
        rows = await connection.fetch(query("registered_devices"), self._last_id)
        if rows:
            self._names.update((tenant, device) for _, tenant, device in rows)
            self._last_id = rows[-1][0]
            self.generation += 1

    async def _read_all(self, connection: Connection) -> None:
        rows = await connection.fetch(query("registered_devices"), 0)
        names = {(tenant, device) for _, tenant, device in rows}
        if names != self._names:
            self._names = names
            self.generation += 1
        self._last_id = rows[-1][0] if rows else 0
        self._loaded = True
