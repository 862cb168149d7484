import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import SeriesIndex, SeriesKey
from penstock.storage.rows import arrange, count_by_tenant

SERIES = 5
READINGS = st.lists(st.tuples(st.integers(0, SERIES - 1), st.integers(0, 5)), max_size=40)
IDS = st.permutations([11, 7, 300, 2, 50])


def index_with(ids: list[int]) -> SeriesIndex:
    index = SeriesIndex()
    for number, series_id in enumerate(ids):
        index.add(SeriesKey(f"tenant-{number % 2}", f"device-{number}", "m"))
        index.ids[number] = series_id
    return index


@given(READINGS, IDS)
def test_readings_are_written_in_order_of_series_and_time_each_once(
    readings: list[tuple[int, int]], ids: list[int]
) -> None:
    series = np.array([number for number, _ in readings], dtype=np.int32)
    ts_us = np.array([ts for _, ts in readings], dtype=np.int64)
    first: dict[tuple[int, int], int] = {}
    for position, (number, ts) in enumerate(readings):
        first.setdefault((ids[number], ts), position)

    rows = arrange(index_with(ids), series, ts_us)

    expected = sorted(first)
    assert rows.series_ids.tolist() == [series_id for series_id, _ in expected]
    assert rows.ts_us.tolist() == [ts for _, ts in expected]
    assert rows.positions.tolist() == [first[key] for key in expected]


@given(READINGS, IDS)
def test_the_newest_reading_of_each_series_is_found(
    readings: list[tuple[int, int]], ids: list[int]
) -> None:
    series = np.array([number for number, _ in readings], dtype=np.int32)
    ts_us = np.array([ts for _, ts in readings], dtype=np.int64)

    newest = arrange(index_with(ids), series, ts_us).newest()

    found = {int(series[position]): int(ts_us[position]) for position in newest}
    assert len(newest) == len(found)
    assert found == {number: max(ts for n, ts in readings if n == number) for number, _ in readings}


@given(READINGS)
def test_readings_are_counted_by_tenant(readings: list[tuple[int, int]]) -> None:
    series = np.array([number for number, _ in readings], dtype=np.int32)
    tenants = [f"tenant-{number % 2}" for number, _ in readings]

    counts = count_by_tenant(index_with([1, 2, 3, 4, 5]), series)

    assert counts == {tenant: tenants.count(tenant) for tenant in tenants}
