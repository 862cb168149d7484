"""The index of series tells whose readings are whose."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import SeriesIndex, SeriesKey

TENANTS = ["north", "south", "north", "west", "south"]
"""Of five series."""


@given(st.lists(st.integers(0, len(TENANTS) - 1), max_size=40))
def test_readings_are_counted_by_tenant(numbers: list[int]) -> None:
    index = SeriesIndex()
    for number, tenant in enumerate(TENANTS):
        index.add(SeriesKey(tenant, f"pump-{number}", "flow"))

    counts = index.count_by_tenant(np.array(numbers, dtype=np.int32))

    assert counts == Counter(TENANTS[number] for number in numbers)
