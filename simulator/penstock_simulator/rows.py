"""Stored readings, in columns."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Numbers


class Rows(NamedTuple):
    """Rows of `readings`, or of `readings_text`: then the values are texts and have no quality."""

    series_id: Numbers
    ts_us: Numbers
    value: NDArray[np.generic]
    quality: Numbers | None
    transaction: Numbers
    """The transaction that wrote each row."""

    def where(self, which: NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        return Rows(
            self.series_id[which],
            self.ts_us[which],
            self.value[which],
            None if self.quality is None else self.quality[which],
            self.transaction[which],
        )
