"""A spool drained by the daemon's own parts, and each row that comes out of it judged.

The judge is an undamaged copy: what it does not hold is wrong, and what does not come out is
missing. No database is asked, so a thousand spools take minutes.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.backoff import Backoff
from penstock.clock import SystemClock
from penstock.errors import FatalError, Retryable
from penstock.model import Batch, NumberColumns, SeriesKey
from penstock.observability.metrics import Metrics
from penstock.pipeline.accounting import Accounting, readings_by_tenant
from penstock.pipeline.breaker import Breaker
from penstock.pipeline.store import Stored
from penstock.settings.tree import Spool as SpoolSettings
from penstock.spool.codec import Contents, decode_body
from penstock.spool.replayer import Replayer
from penstock.spool.spool import Spool

DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.02
PORTION_ROWS, PORTION_BYTES = 5_000, 8_388_608

_SPAN_US = 1 << 42
"""50 days: the readings of a load are closer together."""

Numbers = NDArray[np.int64]


class Original:
    """The rows of an undamaged spool: readings first, then dead letters; no texts."""

    def __init__(self, spool: Path) -> None:
        """Read a spool that nobody has open; its log may be copied into its file by that."""
        batches = dict(_contents_of(spool))
        self._first_us = min(int(one.numbers.ts_us.min()) for one in batches.values())
        self._series: dict[SeriesKey, int] = {}
        for one in batches.values():
            for key, _ in one.keys:
                self._series.setdefault(key, len(self._series))
        codes = [self._codes([k for k, _ in one.keys], one.numbers) for one in batches.values()]
        order = np.argsort(np.concatenate(codes))
        self._codes_in_order = np.concatenate(codes)[order]
        self._bits = np.concatenate([_bits(one.numbers) for one in batches.values()])[order]
        letters = [(one, n) for n, contents in batches.items() for one in contents.dead_letters]
        self._letters = {letter: len(order) + row for row, (letter, _) in enumerate(letters)}
        of_readings = np.repeat(list(batches), [len(one) for one in codes])[order]
        self.batch_of_row: Numbers = np.append(of_readings, [number for _, number in letters])
        """The number of the batch that each row is in."""

    def rows_of(self, batch: Batch) -> tuple[Numbers, int]:
        """Which rows these are, and how many others there are that were never in the spool."""
        codes = self._codes(batch.index.keys, batch.numbers)
        rows = np.searchsorted(self._codes_in_order, codes)
        rows[rows == len(self._codes_in_order)] = 0
        same = (self._bits[rows] == _bits(batch.numbers)).all(axis=1)
        right = same & (self._codes_in_order[rows] == codes)
        letters = [self._letters.get(letter) for letter in batch.dead_letters]
        known = [row for row in letters if row is not None]
        found = np.append(rows[right], np.array(known, dtype=np.int64))
        return found, batch.rows - len(found)

    def _codes(self, keys: list[SeriesKey], numbers: NumberColumns) -> Numbers:
        """Series and time of each reading in a number; a negative one for what is unknown."""
        series = np.array([self._series.get(key, -1) for key in keys], dtype=np.int64)
        elapsed_us = numbers.ts_us - self._first_us
        known = (elapsed_us >= 0) & (elapsed_us < _SPAN_US)
        codes: Numbers = np.where(known, series[numbers.series] * _SPAN_US + elapsed_us, -1)
        return codes


class Drained(NamedTuple):
    """What came of a spool."""

    failure: str
    """Why it was not usable and empty in the end; nothing when it was."""
    wrong_rows: int
    """Stored, and never put in."""
    missing: frozenset[int]
    """Numbers of the batches of which some row was not stored."""
    missing_rows: int
    counted_rows: int
    """Of which the spool said itself that they were lost."""


async def drain(spool: Path, original: Original) -> Drained:
    """Drain a spool as the daemon does."""
    clock = SystemClock()
    metrics = Metrics(clock)
    store = _Recorder(original)
    accounting = Accounting(metrics, clock)
    opened = Spool(SpoolSettings(path=str(spool)), metrics.spool, accounting, clock)
    backoff = Backoff(1.0, 1.0, lambda: 0.5)
    replayer = Replayer(
        opened, store, store.answers, Breaker(backoff, clock), backoff,
        accounting.replayed, metrics, clock,
        portion_rows=PORTION_ROWS, portion_bytes=PORTION_BYTES,
    )  # fmt: skip
    await opened.open()
    healing = asyncio.create_task(opened.run())
    try:
        failure = await _failure(opened, replayer)
    finally:
        healing.cancel()
        await opened.close()
    counted = metrics.spool.quarantined_rows + metrics.spool.lost_rows
    missing = original.batch_of_row[~store.seen]
    return Drained(failure, store.wrong_rows, frozenset(missing.tolist()), len(missing), counted)


async def _failure(spool: Spool, replayer: Replayer) -> str:
    """Drain; returns why that did not go to its end."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while spool.standing.batches or spool.status.state != "usable":
                # While it does not work, the daemon tries it again and again.
                with suppress(FatalError, Retryable):
                    await replayer.drain()
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return f"it is not usable and empty: {spool.status.detail}"
    except Exception as bug:  # noqa: BLE001 - the daemon would end of it, at each start anew
        return f"it ends the daemon: {bug!r}"
    return ""


class _Recorder:
    """A store that judges what it is given."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self.seen = np.zeros(len(original.batch_of_row), dtype=np.bool_)
        self.wrong_rows = 0

    async def answers(self) -> bool:
        return True

    async def store(self, batch: Batch) -> Stored:
        rows, wrong = self._original.rows_of(batch)
        self.seen[rows] = True
        self.wrong_rows += wrong
        readings = readings_by_tenant(msgspec.structs.replace(batch, dead_letters=()))
        return Stored({tenant or "": count for tenant, count in readings.items()}, {})


def _contents_of(spool: Path) -> Iterator[tuple[int, Contents]]:
    with closing(sqlite3.connect(spool)) as connection:
        connection.execute("pragma locking_mode = exclusive")
        for number, body in connection.execute("select number, body from batches"):
            contents = decode_body(number, body)
            assert not len(contents.texts.series), "a load sends no texts"
            yield number, contents


def _bits(numbers: NumberColumns) -> Numbers:
    """Value and quality of each reading, comparable to the last bit."""
    values = numbers.value.astype(np.float64).view(np.int64)
    return np.column_stack([values, numbers.quality.astype(np.int64)])
