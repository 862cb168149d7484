import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.newest import NEVER, Newest, Taken

SERIES = 4
NEWS = st.dictionaries(st.integers(0, SERIES - 1), st.integers(0, 9))


def learn(newest: Newest, news: dict[int, int]) -> None:
    series = np.array(list(news), dtype=np.int32)
    ts_us = np.array(list(news.values()), dtype=np.int64)
    newest.hear(series, max([*news.values(), 0]))
    newest.learn(series, ts_us, ts_us / 2, ts_us.astype(np.int16))


def readings(taken: Taken) -> dict[int, tuple[int, float, int]]:
    return {
        int(series): (int(ts), float(value), int(quality))
        for series, _, ts, value, quality in zip(*taken, strict=True)
        if ts != NEVER
    }


@given(st.lists(st.tuples(NEWS, st.sampled_from(["keep", "write", "fail"]))))
def test_what_is_newest_is_written_once_and_never_replaced_by_older(
    steps: list[tuple[dict[int, int], str]],
) -> None:
    newest = Newest()
    newest.grow(SERIES)
    known: dict[int, int] = {}
    written: dict[int, int] = {}

    for news, step in steps:
        learn(newest, news)
        for series, ts in news.items():
            known[series] = max(ts, known.get(series, ts))
        if step == "keep":
            continue
        taken = newest.take()
        owed = {series: ts for series, ts in known.items() if written.get(series) != ts}
        assert readings(taken) == {series: (ts, ts / 2, ts) for series, ts in owed.items()}
        if step == "fail":
            newest.give_back(taken)
        else:
            written = dict(known)

    learn(newest, {})
    assert readings(newest.take()).keys() == {s for s in known if written.get(s) != known[s]}


def test_a_series_that_brings_nothing_newer_was_still_heard_of() -> None:
    newest = Newest()
    newest.grow(SERIES)
    learn(newest, {1: 9})
    newest.take()

    newest.hear(np.array([1, 2], dtype=np.int32), 5)

    taken = newest.take()
    assert taken.series.tolist() == [1, 2]
    assert taken.seen_us.tolist() == [9, 5]
    assert readings(taken) == {}


def test_room_for_more_series_keeps_what_is_pending() -> None:
    newest = Newest()
    newest.grow(2)
    learn(newest, {1: 3})

    newest.grow(SERIES)
    learn(newest, {3: 4})

    assert readings(newest.take()) == {1: (3, 1.5, 3), 3: (4, 2.0, 4)}


def test_what_came_while_writing_is_not_lost_when_it_fails() -> None:
    newest = Newest()
    newest.grow(SERIES)
    learn(newest, {1: 3, 2: 3})
    taken = newest.take()

    learn(newest, {1: 8})
    newest.give_back(taken)

    assert readings(newest.take()) == {1: (8, 4.0, 8), 2: (3, 1.5, 3)}
