import gc
from collections.abc import Iterator

import pytest

from penstock.app.garbage import look_seldom


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def times_looked() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def test_the_messages_of_one_read_do_not_make_python_look() -> None:
    look_seldom()
    before = times_looked()
    for _ in range(10):
        messages = [[number] for number in range(4_000)]
        del messages
    assert times_looked() == before


def test_cycles_are_freed_all_the_same() -> None:
    look_seldom()
    before = times_looked()
    for _ in range(10_000):
        cycle: list[object] = []
        cycle.append(cycle)
    assert times_looked() > before


def test_what_there_is_is_not_looked_at_again() -> None:
    look_seldom()
    assert gc.get_freeze_count() > 0
