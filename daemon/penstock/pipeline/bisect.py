"""Stores a batch that the database refuses, all but the rows that are to blame.

The batch is halved until a refused part is a single row; that row becomes a dead letter with its
SQLSTATE. One poison row among n costs at most 2·⌈log2 n⌉ attempts after the first.

Invariants: every row is either stored or dead-lettered, never both; every part is committed on its
own, so a crash midway repeats only what idempotent storage absorbs; the batch's own dead letters,
and those that are found, travel with the next part that is stored, or on their own when they are
many.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from penstock.errors import PoisonError, Reason, Refusal, Refused
from penstock.model import Batch, DeadLetter
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.store import Stored

log = structlog.get_logger(__name__)

LETTERS_AT_ONCE = 100
"""So many dead letters that were found wait for no other part of their batch."""

StorePart = Callable[[Batch], Awaitable[Stored]]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a whole batch."""

    inserted: dict[str, int]
    duplicates: dict[str, int]
    dead_letters: Sequence[DeadLetter]
    """The batch's own dead letters and its poison rows."""


async def store_whole(store: StorePart, batch: Batch, counts: StorageCounts) -> Outcome:
    """Store all of `batch`, turning poison rows into dead letters.

    Errors: whatever `store` raises but `PoisonError`. Parts of the batch may be committed then;
    storing all of it again is safe.
    """
    try:
        stored = await store(batch)
    except PoisonError as error:
        counts.bisections += 1
        log.warning("batch_refused", rows=batch.rows, sqlstate=error.sqlstate, detail=error.detail)
        return await store_around_poison(store, batch, error)
    return Outcome(stored.inserted, stored.duplicates, batch.dead_letters)


async def store_around_poison(store: StorePart, batch: Batch, error: PoisonError) -> Outcome:
    """Store all of `batch`, which was refused with `error`, turning poison rows into dead letters.

    Errors: as `store_whole`, and `Refused` when the dead letters themselves are.
    """
    return await _Bisection(store, batch).run(error)


class _Bisection:
    def __init__(self, store: StorePart, batch: Batch) -> None:
        self._store = store
        self._batch = batch
        self._inserted: dict[str, int] = {}
        self._duplicates: dict[str, int] = {}
        self._letters = list(batch.dead_letters)
        self._unsent = list(batch.dead_letters)

    async def run(self, error: PoisonError) -> Outcome:
        await self._isolate(0, self._batch.readings, error)
        await self._send_letters()
        return Outcome(self._inserted, self._duplicates, self._letters)

    async def _send_letters(self) -> None:
        if self._unsent and (refused := await self._attempt(0, 0)) is not None:
            # Never acknowledged: the broker sends again what could not even become a dead letter.
            raise Refused(
                Refusal.DEAD_LETTERS,
                f"the database refuses dead letters: {refused.detail}; mend its schema",
            )

    async def _isolate(self, start: int, stop: int, error: PoisonError) -> None:
        """Store rows `start` to `stop`, which are known to be refused as a whole."""
        if stop - start <= 1:
            self._condemn(start, stop, error)
            if len(self._unsent) >= LETTERS_AT_ONCE:
                await self._send_letters()
            return
        middle = (start + stop) // 2
        first_error = await self._attempt(start, middle)
        if first_error is not None:
            await self._isolate(start, middle, first_error)
        elif stop - middle > 1:
            # The first half is sound, so the second is refused: no need to ask.
            await self._isolate(middle, stop, error)
            return
        second_error = await self._attempt(middle, stop)
        if second_error is not None:
            await self._isolate(middle, stop, second_error)

    def _condemn(self, start: int, stop: int, error: PoisonError) -> None:
        letters = [dead_letter_of_row(self._batch, row, error) for row in range(start, stop)]
        self._letters += letters
        self._unsent += letters

    async def _attempt(self, start: int, stop: int) -> PoisonError | None:
        part = _part(self._batch, start, stop, self._unsent)
        try:
            stored = await self._store(part)
        except PoisonError as error:
            return error
        self._unsent = []
        _add(self._inserted, stored.inserted)
        _add(self._duplicates, stored.duplicates)
        return None


def _part(batch: Batch, start: int, stop: int, letters: Sequence[DeadLetter]) -> Batch:
    """Rows `start` to `stop` of a batch, counted over its numbers and then its texts."""
    split = len(batch.numbers.series)
    return msgspec.structs.replace(
        batch,
        numbers=batch.numbers.rows(min(start, split), min(stop, split)),
        texts=batch.texts.rows(max(start - split, 0), max(stop - split, 0)),
        dead_letters=letters,
    )


def dead_letter_of_row(batch: Batch, row: int, error: PoisonError) -> DeadLetter:
    """A refused reading as a dead letter, with the reading as an envelope, to be replayed."""
    split = len(batch.numbers.series)
    if row < split:
        number, ts_us = int(batch.numbers.series[row]), int(batch.numbers.ts_us[row])
        sample: dict[str, float | str] = {
            "value": float(batch.numbers.value[row]),
            "quality": int(batch.numbers.quality[row]),
        }
    else:
        number, ts_us = int(batch.texts.series[row - split]), int(batch.texts.ts_us[row - split])
        sample = {"value": batch.texts.value[row - split]}
    key = batch.index.keys[number]
    return DeadLetter(
        received_us=batch.first_received_us,
        topic=None,
        payload=msgspec.json.encode({"ts": _rfc3339(ts_us), "metrics": {key.metric: sample}}),
        reason=Reason.STORAGE_ERROR,
        detail=error.detail,
        tenant=key.tenant,
        device=key.device,
        sqlstate=error.sqlstate,
    )


def _rfc3339(ts_us: int) -> str:
    seconds, micros = divmod(ts_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros).isoformat()


def _add(total: dict[str, int], part: dict[str, int]) -> None:
    for tenant, rows in part.items():
        total[tenant] = total.get(tenant, 0) + rows
