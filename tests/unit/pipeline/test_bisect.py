"""Bisection stores everything but the poison, in few attempts."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import PoisonError, Reason, Refused
from penstock.model import Batch, DeadLetter
from penstock.pipeline.bisect import Outcome, store_around_poison
from penstock.pipeline.store import Stored
from tests.support.batches import batch_of


class PickyStore:
    """Refuses a part that holds a poisonous value; keeps what it stored."""

    def __init__(self, poison: set[float | str]) -> None:
        self.poison = poison
        self.attempts = 0
        self.values: list[float | str] = []
        self.letters: list[DeadLetter] = []

    async def store(self, batch: Batch) -> Stored:
        self.attempts += 1
        values = [*batch.numbers.value.tolist(), *batch.texts.value]
        if self.poison.intersection(values):
            raise PoisonError("22003", "numeric value out of range")
        self.values += values
        self.letters += batch.dead_letters
        return Stored({"t0": len(values)}, {})


async def store_whole(store: PickyStore, batch: Batch) -> Outcome:
    try:
        stored = await store.store(batch)
    except PoisonError as error:
        return await store_around_poison(store.store, batch, error)
    return Outcome(stored.inserted, stored.duplicates, batch.dead_letters)


@given(
    rows=st.integers(0, 60),
    texts=st.integers(0, 30),
    letters=st.integers(0, 3),
    poison=st.sets(st.integers(0, 60)),
    text_poison=st.sets(st.integers(0, 30)),
)
async def test_every_row_is_stored_or_dead_lettered_and_never_both(
    rows: int, texts: int, letters: int, poison: set[int], text_poison: set[int]
) -> None:
    refused = {float(row) for row in poison if row < rows}
    refused_texts = {str(row) for row in text_poison if row < texts}
    store = PickyStore({*refused, *refused_texts})
    batch = batch_of(rows=rows, texts=texts, dead_letters=letters)

    outcome = await store_whole(store, batch)

    expected = [float(row) for row in range(rows) if float(row) not in refused]
    expected_texts = [str(row) for row in range(texts) if str(row) not in refused_texts]
    assert sorted(store.values, key=str) == sorted([*expected, *expected_texts], key=str)
    assert outcome.inserted.get("t0", 0) == len(store.values)
    assert len(store.letters) == letters + len(refused) + len(refused_texts)
    assert list(outcome.dead_letters) == list(batch.dead_letters) + [
        letter for letter in outcome.dead_letters if letter.reason is Reason.STORAGE_ERROR
    ]
    assert sorted(map(id, store.letters)) == sorted(map(id, outcome.dead_letters))


@pytest.mark.parametrize("rows", [0, 1, 3])
async def test_dead_letters_that_are_refused_are_never_passed_over(rows: int) -> None:
    class Refusing(PickyStore):
        async def store(self, batch: Batch) -> Stored:
            if batch.dead_letters:
                raise PoisonError("23514", "a check constraint")
            return await super().store(batch)

    with pytest.raises(Refused, match="refuses dead letters: a check constraint"):
        await store_whole(Refusing(set()), batch_of(rows=rows, dead_letters=1))


@given(row=st.integers(0, 4_999))
async def test_one_poison_row_in_5000_costs_at_most_27_attempts(row: int) -> None:
    store = PickyStore({float(row)})
    await store_whole(store, batch_of(rows=5_000))
    assert len(store.values) == 4_999
    assert len(store.letters) == 1
    assert store.attempts <= 1 + 2 * math.ceil(math.log2(5_000)) == 27


async def test_a_refused_number_becomes_an_envelope_that_can_be_replayed() -> None:
    store = PickyStore({1.0})
    await store_whole(store, batch_of(rows=2))
    (letter,) = store.letters
    assert (letter.reason, letter.sqlstate) == (Reason.STORAGE_ERROR, "22003")
    assert (letter.tenant, letter.device, letter.topic) == ("t0", "d", None)
    assert msgspec.json.decode(letter.payload) == {
        "ts": "2026-09-21T14:13:20.000001+00:00",
        "metrics": {"m": {"value": 1.0, "quality": 192}},
    }


async def test_a_refused_string_becomes_an_envelope_that_can_be_replayed() -> None:
    store = PickyStore({"0"})
    await store_whole(store, batch_of(rows=1, texts=1))
    (letter,) = store.letters
    assert msgspec.json.decode(letter.payload)["metrics"] == {"m": {"value": "0"}}
