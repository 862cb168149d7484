from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import SeriesIndex, SeriesKey
from penstock.storage.rows import Alike, arrange

SERIES = 5
READINGS = st.lists(st.tuples(st.integers(0, SERIES - 1), st.integers(0, 5)), max_size=40)
VALUES = st.lists(st.integers(0, 1), min_size=40, max_size=40)
IDS = st.permutations([11, 7, 300, 2, 50])


def index_with(ids: list[int]) -> SeriesIndex:
    index = SeriesIndex()
    for number, series_id in enumerate(ids):
        index.add(SeriesKey(f"tenant-{number % 2}", f"device-{number}", "m"))
        index.ids[number] = series_id
    return index


def alike(value: list[int]) -> Alike:
    values = np.array(value)
    return lambda one, other: values[one] == values[other]


@given(READINGS, VALUES, IDS)
def test_readings_are_written_in_order_of_series_and_time_but_for_repeats(
    readings: list[tuple[int, int]], value: list[int], ids: list[int]
) -> None:
    series = np.array([number for number, _ in readings], dtype=np.int32)
    ts_us = np.array([ts for _, ts in readings], dtype=np.int64)
    in_order = sorted(
        range(len(readings)), key=lambda at: (ids[readings[at][0]], readings[at][1], at)
    )
    kept = in_order[:1] + [
        at
        for before, at in pairwise(in_order)
        if (readings[before], value[before]) != (readings[at], value[at])
    ]

    rows = arrange(index_with(ids), series, ts_us, alike(value))

    assert rows.positions.tolist() == kept
    assert rows.series_ids.tolist() == [ids[readings[at][0]] for at in kept]
    assert rows.ts_us.tolist() == [readings[at][1] for at in kept]
    assert sorted([*kept, *rows.dropped.tolist()]) == sorted(in_order)


@given(READINGS, IDS)
def test_the_newest_reading_of_each_series_is_found(
    readings: list[tuple[int, int]], ids: list[int]
) -> None:
    series = np.array([number for number, _ in readings], dtype=np.int32)
    ts_us = np.array([ts for _, ts in readings], dtype=np.int64)

    newest = arrange(index_with(ids), series, ts_us, alike([0] * 40)).newest()

    found = {int(series[position]): int(ts_us[position]) for position in newest}
    assert len(newest) == len(found)
    assert found == {number: max(ts for n, ts in readings if n == number) for number, _ in readings}
