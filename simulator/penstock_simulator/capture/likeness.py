"""Which of the readings that were sent each stored row is. Pure.

Penstock keeps two values of a series that have the same microsecond: the later one is stored soon
after (docs/payloads.md, "Time"). So a row is a reading when series, value and time are the same,
or, failing that, when it lies just behind a reading that has no row of its own.
"""

from collections import defaultdict, deque

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.capture.expected import Readings
from penstock_simulator.capture.stored import StoredRows
from penstock_simulator.fleet import Numbers

NONE = -1

MOST_SHIFTED_US = 17 * 1_024
"""How much later at most a reading is stored whose time is taken."""


def found_in(
    readings: Readings, rows: StoredRows, sent: NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    """A number for each different reading, and for each row that of the reading it is, or NONE.

    Args:
        readings: what may have been sent.
        rows: what is stored.
        sent: which of the readings were.
    """
    ours, theirs = codes(
        (readings.series, rows.series),
        (readings.ts_us, rows.ts_us),
        (_comparable(readings.value), _comparable(rows.value)),
    )
    meant: Numbers = np.where(np.isin(theirs, ours[sent]), theirs, NONE)
    missing = np.flatnonzero(sent & ~np.isin(ours, meant))
    spare = np.flatnonzero(meant == NONE)
    if len(missing) and len(spare):
        _find_shifted(readings, rows, ours, meant, missing, spare)
    return ours, meant


def codes(*columns: tuple[NDArray[np.generic], NDArray[np.generic]]) -> tuple[Numbers, Numbers]:
    """A number for each row of two tables; the same where all columns are the same."""
    split = len(columns[0][0])
    found = np.zeros(split + len(columns[0][1]), dtype=np.int64)
    for ours, theirs in columns:
        distinct, places = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
        found = np.unique(found * max(1, len(distinct)) + places, return_inverse=True)[1]
    return found[:split], found[split:]


def _find_shifted(
    readings: Readings,
    rows: StoredRows,
    ours: Numbers,
    meant: Numbers,
    missing: Numbers,
    spare: Numbers,
) -> None:
    """Enter in `meant` the spare rows that are missing readings, the earliest for the earliest."""
    wanted, there = codes(
        (readings.series[missing], rows.series[spare]),
        (_comparable(readings.value[missing]), _comparable(rows.value[spare])),
    )
    candidates: defaultdict[int, deque[int]] = defaultdict(deque)
    for place in np.argsort(rows.ts_us[spare], kind="stable").tolist():
        candidates[int(there[place])].append(int(spare[place]))
    taken: set[int] = set()
    for place in np.argsort(readings.ts_us[missing], kind="stable").tolist():
        reading = int(missing[place])
        behind = candidates.get(int(wanted[place]))
        if not behind or int(ours[reading]) in taken:
            continue
        ts_us = int(readings.ts_us[reading])
        while behind and rows.ts_us[behind[0]] < ts_us:
            behind.popleft()
        if behind and rows.ts_us[behind[0]] <= ts_us + MOST_SHIFTED_US:
            meant[behind.popleft()] = ours[reading]
            taken.add(int(ours[reading]))


def _comparable(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Doubles by their bits: what is stored has to be what was sent, to the last of them."""
    return values.view(np.int64) if values.dtype == np.float64 else values
