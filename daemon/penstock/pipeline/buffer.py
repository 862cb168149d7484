"""What the pipeline asks of a buffer on disk; `penstock.spool` answers it."""

from typing import Protocol

from penstock.errors import Retryable
from penstock.model import Batch


class Buffer(Protocol):
    """Keeps batches that the database cannot take now."""

    @property
    def usable(self) -> bool:
        """Whether it is worth asking."""
        ...

    async def append(self, batch: Batch) -> None:
        """Return once the batch is on the disk.

        Errors: `Retryable` when it is not, or may not be.
        """
        ...


class NoBuffer:
    """What there is where no spool is configured."""

    usable = False

    async def append(self, _batch: Batch) -> None:
        raise Retryable("there is no spool")
