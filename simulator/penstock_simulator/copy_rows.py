"""Reads rows of `readings` in the binary format of COPY (PostgreSQL's manual, under COPY).

Every column is of fixed length and never null, so rows are equally long and a chunk of them is an
array of records as it stands; the lengths that stand before the columns are checked all the same.
"""

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.rows import Rows

_HEADER_BYTES = 19
_EPOCH_2000_US = 946_684_800_000_000
_RECORD = np.dtype(
    [
        ("columns", ">i2"),
        ("series_id_bytes", ">i4"),
        ("series_id", ">i4"),
        ("quality_bytes", ">i4"),
        ("quality", ">i2"),
        ("ts_bytes", ">i4"),
        ("ts", ">i8"),
        ("value_bytes", ">i4"),
        ("value", ">f8"),
        ("xmin_bytes", ">i4"),
        ("xmin", ">u4"),
    ]
)
_LENGTHS = {"columns": 5, "series_id_bytes": 4, "quality_bytes": 2, "ts_bytes": 8, "value_bytes": 8}


class RowParser:
    """Turns the chunks of one COPY into rows."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def feed(self, data: bytes) -> Rows | None:
        """The rows that are complete with `data`; none when there are none.

        Raises:
            ValueError: a row has not the columns `series_id, quality, ts, value, xmin`.
        """
        data = self._rest + data
        if not self._started:
            if len(data) < _HEADER_BYTES:
                self._rest = data
                return None
            data = data[_HEADER_BYTES:]
            self._started = True
        count = len(data) // _RECORD.itemsize
        self._rest = data[count * _RECORD.itemsize :]
        if count == 0:
            return None
        return _columns(np.frombuffer(data, dtype=_RECORD, count=count))


def _columns(records: NDArray[np.void]) -> Rows:
    for name, length in _LENGTHS.items():
        if (records[name] != length).any():
            raise ValueError(f"unexpected {name} in a row of readings")
    return Rows(
        series_id=records["series_id"].astype(np.int64),
        ts_us=records["ts"].astype(np.int64) + _EPOCH_2000_US,
        value=records["value"].astype(np.float64),
        quality=records["quality"].astype(np.int64),
        transaction=records["xmin"].astype(np.int64),
    )
