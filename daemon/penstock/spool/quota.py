"""How much the spool may hold, and what to do when it holds that. Pure."""

from collections.abc import Iterable

from penstock.settings.tree import Spool
from penstock.spool.file import Filed, Standing


class Quota:
    """The bounds of one spool.

    Its own size is a few percent more than the batches that it holds, and the write-ahead log
    besides; `spool.max_bytes` is a bound on the batches.
    """

    def __init__(self, settings: Spool) -> None:
        self.max_bytes = settings.max_bytes
        self._max_age_us = None
        if settings.max_age_seconds is not None:
            self._max_age_us = round(settings.max_age_seconds * 1_000_000)
        self.drops_oldest = settings.when_full == "drop_oldest"

    def full(self, standing: Standing, more_bytes: int, now_us: int) -> str:
        """Why `more_bytes` are too many for the spool as it stands; empty when they are not."""
        if standing.size_bytes + more_bytes > self.max_bytes:
            return f"the spool is full: spool.max_bytes is {self.max_bytes}"
        if self._too_old(standing.oldest_us, now_us):
            return "the spool is full: its oldest batch is older than spool.max_age_seconds"
        return ""

    def surplus(
        self, size_bytes: int, oldest: Iterable[Filed], more_bytes: int, now_us: int
    ) -> list[Filed]:
        """The oldest records, as many as have to go so that `more_bytes` are not too many."""
        dropped = []
        left_bytes = size_bytes + more_bytes
        for filed in oldest:
            if left_bytes <= self.max_bytes and not self._too_old(filed.label.received_us, now_us):
                break
            dropped.append(filed)
            left_bytes -= filed.size_bytes
        return dropped

    def _too_old(self, oldest_us: int | None, now_us: int) -> bool:
        if self._max_age_us is None or oldest_us is None:
            return False
        return now_us - oldest_us > self._max_age_us
