"""A database that is a dictionary, with the moods of a real one, on the time of the event loop."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from math import ceil, log2
from typing import NamedTuple

import msgspec

from penstock.errors import PoisonError, Retryable
from penstock.model import Batch, DeadLetter, SeriesKey
from penstock.pipeline.store import Stored

GIVES_UP_SECONDS = 30.0
"""The limit that the real store sets to each of its waits."""


class Mood(StrEnum):
    """How the database answers to what is begun now."""

    WELL = "well"
    SLOW = "slow"
    DOWN = "down"
    HANGING = "hanging"
    UNSURE = "unsure"
    """It commits, and the connection is lost before it says so."""


_ANSWER_SECONDS = {
    Mood.WELL: 0.01,
    Mood.SLOW: 0.7,
    Mood.DOWN: 0.01,
    Mood.HANGING: GIVES_UP_SECONDS,
    Mood.UNSURE: 0.05,
}


class Row(NamedTuple):
    """What a reading is in the table, apart from its value."""

    key: SeriesKey
    ts_us: int


class _Search:
    """How often a batch, and parts of it, were answered while poison was looked for in it."""

    def __init__(self, batch: Batch) -> None:
        self.readings = batch.readings
        self.attempts = 0
        self.most_attempts = 2 + _poison(batch) * 2 * ceil(log2(max(1, batch.readings)))
        self.interrupted = False
        """Whether an attempt failed, after which the whole may be given again."""


class ModelDatabase:
    """Keeps each reading once, and refuses the data of a batch with a negative value in it."""

    def __init__(self) -> None:
        self.mood = Mood.WELL
        self.ends_what_is_left = False
        """Whether it commits in the end what nobody waits for any more."""
        self.rows: dict[Row, float] = {}
        self.letters: set[tuple[str | None, str | None, bytes]] = set()
        self.commits: Counter[Row] = Counter()
        """How often each reading was given to it and committed."""
        self.failures = 0
        """Attempts that ended otherwise than with a commit that was reported, or a refusal."""
        self._searches: dict[tuple[int, int], _Search] = {}

    async def probe(self) -> bool:
        """Whether it gives a sign of life."""
        return self.mood not in {Mood.DOWN, Mood.HANGING}

    async def store(self, batch: Batch) -> Stored:
        """Fulfils `penstock.pipeline.store.Store`, as the mood is when it begins."""
        self._count_attempt(batch)
        mood, poison = self.mood, _poison(batch)
        try:
            await asyncio.sleep(_ANSWER_SECONDS[mood])
        except asyncio.CancelledError:
            self._failed(batch, lands=not poison and self.ends_what_is_left)
            raise
        if mood in {Mood.DOWN, Mood.HANGING}:
            committed = mood is Mood.HANGING and not poison and self.ends_what_is_left
            self._failed(batch, lands=committed)
            raise Retryable(f"the database is {mood}")
        if poison:
            raise PoisonError("22003", "out of range")
        if mood is Mood.UNSURE:
            self._failed(batch, lands=True)
            raise Retryable("the connection was lost")
        return self._commit(batch)

    def forget_attempts(self) -> None:
        """Another process asks from now on."""
        self._searches.clear()

    def _commit(self, batch: Batch) -> Stored:
        inserted: Counter[str] = Counter()
        duplicates: Counter[str] = Counter()
        for row, value in _rows_of(batch):
            (duplicates if row in self.rows else inserted)[row.key.tenant] += 1
            assert self.rows.setdefault(row, value) == value
            self.commits[row] += 1
        self.letters |= {identity_of(letter) for letter in batch.dead_letters}
        return Stored(dict(inserted), dict(duplicates))

    def _failed(self, batch: Batch, *, lands: bool) -> None:
        self.failures += 1
        search = self._searches[_identity(batch)]
        search.attempts -= 1
        search.interrupted = True
        if lands:
            self._commit(batch)

    def _count_attempt(self, batch: Batch) -> None:
        """See that poison is looked for in no more attempts than it takes.

        An attempt that failed does not count. What comes next is the same part, with which the
        search goes on, or the whole, with which it begins anew.
        """
        search = self._searches.get(_identity(batch))
        if search is None or (search.interrupted and batch.readings == search.readings):
            search = self._searches[_identity(batch)] = _Search(batch)
        search.attempts += 1
        assert search.attempts <= search.most_attempts


def readings_in(batch: Batch) -> dict[Row, float]:
    """The numeric readings of a batch, by what they are in the table."""
    return dict(_rows_of(batch))


def identity_of(letter: DeadLetter) -> tuple[str | None, str | None, bytes]:
    """What tells a dead letter from others."""
    return letter.tenant, letter.device, letter.payload


def refused_value(payload: bytes) -> float:
    """The value of a reading that became a dead letter."""
    (sample,) = msgspec.json.decode(payload)["metrics"].values()
    return float(sample["value"])


def _rows_of(batch: Batch) -> Iterator[tuple[Row, float]]:
    """Those that stand in it twice are given twice: one of them is a duplicate."""
    numbers = batch.numbers
    columns = (numbers.series.tolist(), numbers.ts_us.tolist(), numbers.value.tolist())
    for series, ts_us, value in zip(*columns, strict=True):
        yield Row(batch.index.keys[series], ts_us), value


def _poison(batch: Batch) -> int:
    return int((batch.numbers.value < 0).sum())


def _identity(batch: Batch) -> tuple[int, int]:
    return id(batch.index), batch.number
