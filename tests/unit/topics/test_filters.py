from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from penstock.topics.filters import covers, widest
from tests.unit.topics.matching import matches

LEVELS = ("a", "b", "+")
FILTERS = [
    "/".join((*head, last))
    for depth in range(3)
    for head in product(LEVELS, repeat=depth)
    for last in (*LEVELS, "#")
]
# A level more than the filters have, and a name that is in none of them, tell all of them apart.
TOPICS = ["/".join(levels) for depth in range(1, 5) for levels in product("abc", repeat=depth)]
TAKEN = {own: frozenset(topic for topic in TOPICS if matches(own, topic)) for own in FILTERS}


def test_one_filter_covers_another_exactly_when_it_takes_all_its_topics() -> None:
    for wide, narrow in product(FILTERS, repeat=2):
        assert covers(wide, narrow) == (TAKEN[wide] >= TAKEN[narrow]), (wide, narrow)


@given(st.lists(st.sampled_from(FILTERS), max_size=8))
def test_the_widest_filters_take_the_same_topics_with_none_to_spare(filters: list[str]) -> None:
    kept = widest(filters)

    assert frozenset().union(*(TAKEN[own] for own in kept)) == frozenset().union(
        *(TAKEN[own] for own in filters)
    )
    assert not any(covers(wide, narrow) for wide in kept for narrow in kept if wide is not narrow)
    assert kept == sorted(kept, key=filters.index)


def test_filters_that_only_partly_overlap_are_both_kept() -> None:
    assert widest(["a/+/c", "a/b/+"]) == ["a/+/c", "a/b/+"]
