"""A batch as it goes to the database: ordered, encoded, and with its account.

What always holds: inserted and duplicate readings add up to the readings of the batch, by tenant.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from penstock.model import Batch
from penstock.pipeline.store import Stored
from penstock.storage.copy_format import (
    DEAD_LETTER_COLUMNS,
    READINGS_COLUMNS,
    READINGS_TEXT_COLUMNS,
    encode_dead_letters,
    encode_readings,
    encode_text_readings,
)
from penstock.storage.copying import Copy
from penstock.storage.rows import Alike, Rows, arrange


class WriteSet:
    """What to copy where for one batch, whose series are all resolved."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        numbers, texts = batch.numbers, batch.texts
        self.numbers = arrange(batch.index, numbers.series, numbers.ts_us, _same_numbers(batch))
        self.texts = arrange(batch.index, texts.series, texts.ts_us, _same_texts(batch))
        self.readings: Copy | None = None
        self.readings_text: Copy | None = None
        self.dead_letters: Copy | None = None
        if len(self.numbers):
            self.readings = _copy_of_numbers(batch, self.numbers)
        if len(self.texts):
            self.readings_text = _copy_of_texts(batch, self.texts)
        if batch.dead_letters:
            data = encode_dead_letters(batch.dead_letters)
            self.dead_letters = Copy("dead_letters", DEAD_LETTER_COLUMNS, data)

    @property
    def rows(self) -> int:
        """Readings to write: those of the batch but for repeats."""
        return len(self.numbers) + len(self.texts)

    def copies(self) -> list[Copy]:
        """All COPYs that are needed."""
        everything = (self.readings, self.readings_text, self.dead_letters)
        return [copy for copy in everything if copy is not None]

    def all_inserted(self) -> Stored:
        """The account when every reading was new."""
        if self.rows == self._batch.readings:
            return Stored(self._received(), {})
        return self._account(
            self._batch.numbers.series[self.numbers.positions],
            self._batch.texts.series[self.texts.positions],
        )

    def inserted(
        self, numbers: Iterable[tuple[int, int]], texts: Iterable[tuple[int, int]]
    ) -> Stored:
        """The account when so many readings were new, by the database's series number."""
        return self._account(
            _series_inserted(self._batch.numbers.series, self.numbers, numbers),
            _series_inserted(self._batch.texts.series, self.texts, texts),
        )

    def _account(self, numbers: NDArray[np.int32], texts: NDArray[np.int32]) -> Stored:
        inserted = self._batch.index.count_by_tenant(np.concatenate([numbers, texts]))
        duplicates = {
            tenant: rows - inserted.get(tenant, 0)
            for tenant, rows in self._received().items()
            if rows > inserted.get(tenant, 0)
        }
        return Stored(inserted, duplicates)

    def _received(self) -> dict[str, int]:
        batch = self._batch
        series = np.concatenate([batch.numbers.series, batch.texts.series])
        return batch.index.count_by_tenant(series)


def _same_numbers(batch: Batch) -> Alike:
    value, quality = batch.numbers.value, batch.numbers.quality
    return lambda one, other: (value[one] == value[other]) & (quality[one] == quality[other])


def _same_texts(batch: Batch) -> Alike:
    value = batch.texts.value
    return lambda one, other: np.array(
        [value[a] == value[b] for a, b in zip(one.tolist(), other.tolist(), strict=True)],
        dtype=np.bool_,
    )


def _copy_of_numbers(batch: Batch, rows: Rows) -> Copy:
    data = encode_readings(
        rows.series_ids,
        batch.numbers.quality[rows.positions],
        rows.ts_us,
        batch.numbers.value[rows.positions],
    )
    return Copy("readings", READINGS_COLUMNS, data)


def _copy_of_texts(batch: Batch, rows: Rows) -> Copy:
    values = [batch.texts.value[position] for position in rows.positions.tolist()]
    data = encode_text_readings(rows.series_ids, rows.ts_us, values)
    return Copy("readings_text", READINGS_TEXT_COLUMNS, data)


def _series_inserted(
    series: NDArray[np.int32], rows: Rows, inserted: Iterable[tuple[int, int]]
) -> NDArray[np.int32]:
    """The series number of each reading that was new."""
    counts = np.array(list(inserted), dtype=np.int64).reshape(-1, 2)
    first = np.searchsorted(rows.series_ids, counts[:, 0])
    return np.repeat(series[rows.positions[first]], counts[:, 1])
