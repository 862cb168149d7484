"""Records of the spool, made one batch again."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.model import Batch, NumberColumns, SeriesIndex, SeriesKey, TextColumns
from penstock.spool.codec import Contents

SERIES_LIMIT = 200_000
"""Series that are kept numbered from one portion to the next."""


class Portion(msgspec.Struct, frozen=True):
    """What is stored, and leaves the spool, together."""

    numbers: Sequence[int]
    """Of the records; ascending."""
    batch: Batch


class Portions:
    """Makes portions whose series are numbered alike, so that the database is asked once."""

    def __init__(self) -> None:
        self._begin()

    def portion(self, numbers: Sequence[int], contents: Sequence[Contents]) -> Portion:
        """The records with these numbers and contents, at least one."""
        if len(self._index) > SERIES_LIMIT:
            self._begin()
        series = [self._series(one) for one in contents]
        return Portion(
            numbers,
            Batch(
                number=numbers[-1],
                index=self._index,
                numbers=_numbers(contents, series),
                texts=_texts(contents, series),
                dead_letters=[letter for one in contents for letter in one.dead_letters],
                messages=sum(one.messages for one in contents),
                size_bytes=sum(one.size_bytes for one in contents),
                first_received_us=min(one.received_us for one in contents),
            ),
        )

    def _begin(self) -> None:
        self._index = SeriesIndex()
        self._known: dict[SeriesKey, int] = {}

    def _series(self, contents: Contents) -> NDArray[np.int32]:
        """The number in our index of each key."""
        numbers = []
        for key, unit in contents.keys:
            number = self._known.get(key)
            if number is None:
                number = self._known[key] = self._index.add(key, unit)
            numbers.append(number)
        return np.array(numbers, dtype=np.int32)


def _numbers(contents: Sequence[Contents], series: Sequence[NDArray[np.int32]]) -> NumberColumns:
    return NumberColumns(
        series=np.concatenate(
            [ours[one.numbers.series] for one, ours in zip(contents, series, strict=True)]
        ),
        ts_us=np.concatenate([one.numbers.ts_us for one in contents]),
        value=np.concatenate([one.numbers.value for one in contents]),
        quality=np.concatenate([one.numbers.quality for one in contents]),
    )


def _texts(contents: Sequence[Contents], series: Sequence[NDArray[np.int32]]) -> TextColumns:
    return TextColumns(
        series=np.concatenate(
            [ours[one.texts.series] for one, ours in zip(contents, series, strict=True)]
        ),
        ts_us=np.concatenate([one.texts.ts_us for one in contents]),
        value=[value for one in contents for value in one.texts.value],
    )
