"""What the pipeline asks of a database; `penstock.storage` answers it."""

from typing import Protocol

import msgspec

from penstock.model import Batch


class Stored(msgspec.Struct, frozen=True):
    """What a committed batch became, in readings by tenant."""

    inserted: dict[str, int]
    duplicates: dict[str, int]
    """Readings that were there already, or stood twice in the batch."""


class Store(Protocol):
    """Commits batches."""

    async def store(self, batch: Batch) -> Stored:
        """Commit readings and dead letters in one transaction, resolving new series first.

        Errors: `Retryable` when the database is unwell or the outcome is unknown (storing the same
        batch again is safe); `PoisonError` when it refuses the data: then nothing was stored.
        """
        ...
