"""What is known of the database's health, for people and for the health answer.

What always holds: a database that answers and still does not take batches, because it refuses them
or a table is locked, is not called well before it has taken one; and what a person has to see to is
said once, as an error, until all is well again.
"""

import msgspec
import structlog

from penstock.errors import Refusal, Refused, Retryable
from penstock.observability.metrics import StorageCounts

log = structlog.get_logger(__name__)


class DatabaseStatus(msgspec.Struct, frozen=True):
    """Whether the last thing asked of the database worked."""

    connected: bool
    detail: str
    """`connected`, or why not in plain words."""


CONNECTED = DatabaseStatus(connected=True, detail="connected")
NOT_YET = DatabaseStatus(connected=False, detail="not connected yet")


class Standing:
    """Told of all that is asked of the database; knows how it is."""

    def __init__(self, counts: StorageCounts) -> None:
        self._counts = counts
        self._not_taken: DatabaseStatus | None = None
        """Why the last batch was not."""
        self._complaints: dict[Refusal, str] = {}
        self._was_well = False
        self.reached = NOT_YET
        """Whether it answers, which it may while it refuses batches."""

    @property
    def status(self) -> DatabaseStatus:
        """Whether it answers and takes batches."""
        if self.reached.connected and self._not_taken is not None:
            return self._not_taken
        return self.reached

    def answered(self) -> None:
        """It gave a sign of life."""
        self.reached = CONNECTED
        self._settle()

    def took_batch(self) -> None:
        """It stored a batch, or looked at its data and refused that."""
        self._not_taken = None
        self.answered()

    def failed(self, error: Retryable) -> None:
        """It did not do what was asked."""
        self.reached = DatabaseStatus(connected=False, detail=str(error))
        if isinstance(error, Refused):
            self._counts.refusals[error.refusal] += 1
            if error.refusal not in self._complaints:
                self._say(error)
        elif self._was_well:
            log.warning("database_unavailable", reason=str(error))
        self._was_well = False

    def failed_to_store(self, error: Retryable) -> None:
        """It did not take a batch; it may answer everything else."""
        self.failed(error)
        self._not_taken = self.reached

    def complain(self, error: Refused) -> None:
        """Say what it has refused to somebody else, unless just that was said."""
        if self._complaints.get(error.refusal) != str(error):
            self._say(error)

    def _say(self, error: Refused) -> None:
        self._complaints[error.refusal] = str(error)
        log.error("database_refuses", cause=error.refusal.value, reason=str(error))

    def _settle(self) -> None:
        if self.status.connected and not self._was_well:
            self._was_well = True
            self._complaints.clear()
            log.info("database_connected")
