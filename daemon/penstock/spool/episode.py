"""Says in the log when batches begin to go to the spool, and when it is empty again.

Invariant: each is said once an episode, however many batches and whoever moves them. An episode
ends when the spool has been empty, and nothing went there, for `QUIET_SECONDS`: while a database
takes just too little, batches come and go all the time.
"""

import structlog

from penstock.clock import Clock

log = structlog.get_logger(__name__)

QUIET_SECONDS = 5.0


class Episode:
    """Told of every batch that goes to a spool; looks at it about once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_seconds: float | None = None
        self._filled_seconds = 0.0
        """When something was last in the spool."""
        self._told = False
        self._rows = 0

    def spooled(self, rows: int, *, database_well: bool) -> None:
        """A batch of so many rows is in the spool."""
        self._go_on()
        self._rows += rows
        if not self._told:
            self._told = True
            log.warning(
                "spooling_begins",
                reason="the database takes batches, but too slowly"
                if database_well
                else "the database does not take batches",
            )

    def tick(self, batches: int) -> None:
        """So many batches are in the spool now."""
        if batches:
            self._go_on()
        elif self._began_seconds is not None and self._quiet_seconds >= QUIET_SECONDS:
            log.info(
                "spool_empty",
                rows_spooled=self._rows,
                seconds=round(self._filled_seconds - self._began_seconds, 1),
            )
            self._began_seconds, self._told, self._rows = None, False, 0

    @property
    def _quiet_seconds(self) -> float:
        return self._clock.monotonic_seconds() - self._filled_seconds

    def _go_on(self) -> None:
        self._filled_seconds = self._clock.monotonic_seconds()
        if self._began_seconds is None:
            self._began_seconds = self._filled_seconds
