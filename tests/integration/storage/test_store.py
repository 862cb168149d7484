import asyncio
import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import PoisonError, Reason
from penstock.model import DeadLetter
from penstock.observability.metrics import StorageCounts
from penstock.storage.session import MOST_SHIFTED_US, SHIFTS
from penstock.storage.store import TimescaleStore
from tests.support.database import Database
from tests.support.readings import NOW_US, Numbering, Reading, batch

LETTER = DeadLetter(
    received_us=NOW_US,
    topic="devices/acme/pump-1/telemetry",
    payload=b"{",
    reason=Reason.MALFORMED,
    detail="not JSON",
    tenant="acme",
    device="pump-1",
    correlation_id="c-1",
)


def minutes(count: int, device: str = "pump-1") -> list[Reading]:
    return [
        Reading(ts_us=NOW_US + minute * 60_000_000, value=float(minute), device=device)
        for minute in range(count)
    ]


async def test_readings_are_stored_under_their_names(
    store: TimescaleStore, inspect: Database
) -> None:
    readings = [
        Reading("humidity", value=40.25, quality=64),
        Reading("temperature", value=-0.0),
        Reading("temperature", NOW_US + 1, 1e308),
        Reading("temperature", tenant="öl", device="Förderpumpe 1"),
    ]

    stored = await store.store(batch(*readings))

    assert await inspect.numbers() == readings
    assert stored.inserted == {"acme": 3, "öl": 1}
    assert stored.duplicates == {}


async def test_text_is_stored_beside_numbers(store: TimescaleStore, inspect: Database) -> None:
    number, text = Reading("state", value=1.0), Reading("state", value="läuft")

    stored = await store.store(batch(number, text))

    assert await inspect.numbers() == [number]
    assert await inspect.texts() == [text]
    assert stored.inserted == {"acme": 2}


async def test_a_batch_without_anything_is_stored_without_a_database(
    store: TimescaleStore, inspect: Database
) -> None:
    stored = await store.store(batch())

    assert (stored.inserted, stored.duplicates) == ({}, {})


async def test_a_reading_that_is_there_already_is_a_duplicate(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    first = minutes(3)
    await store.store(batch(*first))
    fresh = Reading("humidity")

    stored = await store.store(batch(*first, fresh))

    assert await inspect.numbers() == [fresh, *first]
    assert stored.inserted == {"acme": 1}
    assert stored.duplicates == {"acme": 3}
    assert (counts.staging_batches, counts.shifted_readings) == (1, 0)


async def test_a_reading_that_repeats_another_of_its_batch_is_a_duplicate(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    stored = await store.store(batch(Reading(), Reading(), Reading("state", value="a")))

    assert await inspect.numbers() == [Reading()]
    assert stored.inserted == {"acme": 2}
    assert stored.duplicates == {"acme": 1}
    assert counts.staging_batches == 0


async def test_other_values_at_the_same_time_are_kept_soon_after_and_found_when_they_come_again(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    numbers = [Reading(value=float(value)) for value in range(20)]
    texts = [Reading("state", value=state) for state in ("on", "off", "on again")]
    await store.store(batch(numbers[0], texts[0]))

    stored = await store.store(batch(*numbers, *texts))
    assert stored.inserted == {"acme": 21}
    assert stored.duplicates == {"acme": 2}
    assert counts.shifted_readings == 21

    for again in (numbers[5:], [*reversed(numbers)], texts):
        repeated = await store.store(batch(*again))
        assert (repeated.inserted, repeated.duplicates) == ({}, {"acme": len(again)})

    rows = [*await inspect.numbers(), *await inspect.texts()]
    assert sorted(str(row.value) for row in rows) == sorted(
        str(reading.value) for reading in [*numbers, *texts]
    )
    assert all(NOW_US <= row.ts_us <= NOW_US + SHIFTS * MOST_SHIFTED_US for row in rows)
    assert [row.value for row in rows if row.ts_us == NOW_US] == [0.0, "on"]


async def test_a_quality_that_differs_is_another_reading(
    store: TimescaleStore, inspect: Database
) -> None:
    good, bad = Reading(quality=192), Reading(quality=0)

    await store.store(batch(good))
    stored = await store.store(batch(bad, good))

    assert stored.inserted == {"acme": 1}
    assert sorted(row.quality for row in await inspect.numbers()) == [0, 192]


async def test_readings_whose_time_is_taken_again_and_again_are_refused(
    store: TimescaleStore, inspect: Database
) -> None:
    taken = SHIFTS * MOST_SHIFTED_US + 1
    await store.store(
        batch(*[Reading(ts_us=NOW_US + at, value=-float(at + 1)) for at in range(taken)])
    )

    with pytest.raises(PoisonError, match="23505"):
        await store.store(batch(Reading(value=7.0), dead_letters=[LETTER]))

    assert len(await inspect.numbers()) == taken
    assert await inspect.value("select count(*) from dead_letters") == 0


async def test_duplicates_are_counted_for_the_tenant_that_sent_them(
    store: TimescaleStore, inspect: Database
) -> None:
    here, there = Reading(tenant="acme"), Reading(tenant="emca")
    await store.store(batch(here))
    text = Reading("state", value="on", tenant="emca")
    await store.store(batch(text))

    stored = await store.store(batch(here, there, there, text))

    assert stored.inserted == {"emca": 1}
    assert stored.duplicates == {"acme": 1, "emca": 2}
    assert await inspect.numbers() == [here, there]


async def test_a_session_that_met_duplicates_stages_until_a_batch_brings_none(
    store: TimescaleStore, counts: StorageCounts
) -> None:
    numbering = Numbering()
    first, second, third, fourth = ([reading] for reading in minutes(4))
    await store.store(batch(*first, numbering=numbering))
    staged = []

    for readings in (first, second, third, fourth, first):
        await store.store(batch(*readings, numbering=numbering))
        staged.append(counts.staging_batches)

    assert staged == [1, 2, 2, 2, 3]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_every_reading_is_inserted_once_and_accounted_for(
    store: TimescaleStore, inspect: Database, data: st.DataObject
) -> None:
    await inspect.run("truncate readings, readings_text")
    reading = st.builds(
        Reading,
        metric=st.sampled_from(["a", "b"]),
        ts_us=st.integers(0, 3).map(lambda at: NOW_US + at * 10**6),
        value=st.sampled_from([1.0, 2.0, "on"]),
        device=st.just("pump-1"),
        tenant=st.sampled_from(["acme", "emca"]),
        quality=st.just(192),
    )
    batches = data.draw(st.lists(st.lists(reading, max_size=12), max_size=6))
    known: set[Reading] = set()
    numbering = Numbering()

    for readings in batches:
        new = set(readings) - known
        known |= new
        stored = await store.store(batch(*readings, numbering=numbering))
        assert sum(stored.inserted.values()) == len(new)
        assert sum(stored.duplicates.values()) == len(readings) - len(new)

    rows = [*await inspect.numbers(), *await inspect.texts()]
    assert len(rows) == len(known)
    assert Counter((row.tenant, row.metric, row.value) for row in rows) == Counter(
        (one.tenant, one.metric, one.value) for one in known
    )


async def test_writers_that_meet_the_same_readings_store_each_once(
    store: TimescaleStore, inspect: Database
) -> None:
    readings = [reading for device in "abcd" for reading in minutes(500, device=device)]

    results = await asyncio.gather(*(store.store(batch(*readings)) for _ in range(4)))

    assert await inspect.numbers() == readings
    assert sum(sum(stored.inserted.values()) for stored in results) == len(readings)
    assert sum(sum(stored.duplicates.values()) for stored in results) == 3 * len(readings)


async def test_each_writer_keeps_its_connection(store: TimescaleStore, inspect: Database) -> None:
    numbering = Numbering()
    for round_number in range(3):
        await asyncio.gather(
            *(
                store.store(batch(Reading(metric, NOW_US + round_number), numbering=numbering))
                for metric in ("a", "b")
            )
        )

    assert len(await inspect.sessions()) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda text: Reading(value=text),
        lambda text: Reading(metric=text),
        lambda text: Reading(device=text),
        lambda text: Reading(tenant=text),
    ],
    ids=["value", "metric", "device", "tenant"],
)
@pytest.mark.parametrize(
    "text",
    [
        "'; drop table readings; --",
        '"\\',
        "\x01\x7f\x85",
        "\u202e\ufeff",
        "\U0001f600" * 32,
        "%s$1",
    ],
)
async def test_hostile_text_is_stored_as_it_is(
    store: TimescaleStore, inspect: Database, make: Callable[[str], Reading], text: str
) -> None:
    reading = make(text)

    await store.store(batch(reading))

    assert [*await inspect.numbers(), *await inspect.texts()] == [reading]


async def test_readings_of_any_age_are_stored(store: TimescaleStore, inspect: Database) -> None:
    centuries = [Reading(ts_us=year * 31_557_600_000_000) for year in (-4000, -70, 0, 130, 9000)]

    await store.store(batch(*centuries))

    assert await inspect.numbers() == centuries


async def test_a_batch_over_many_chunks_is_stored(store: TimescaleStore, inspect: Database) -> None:
    days = [Reading(ts_us=NOW_US - day * 86_400_000_000) for day in range(100, 0, -1)]

    await store.store(batch(*days))
    stored = await store.store(batch(*days, Reading()))

    assert await inspect.numbers() == [*days, Reading()]
    assert stored.duplicates == {"acme": 100}


async def test_extreme_values_are_stored_exactly(store: TimescaleStore, inspect: Database) -> None:
    values = [5e-324, -1.7976931348623157e308, 0.1, 2.0**53 + 2, math.inf, -math.inf]
    readings = [Reading(ts_us=NOW_US + at, value=value) for at, value in enumerate(values)]

    await store.store(batch(*readings))

    assert [reading.value for reading in await inspect.numbers()] == values


async def test_dead_letters_are_committed_with_the_readings_of_their_batch(
    store: TimescaleStore, inspect: Database
) -> None:
    await store.store(batch(Reading(), dead_letters=[LETTER]))

    assert await inspect.numbers() == [Reading()]
    assert await inspect.rows(
        "select tenant, device, topic, payload, reason, detail, sqlstate, correlation_id, status"
        " from dead_letters"
    ) == [
        ("acme", "pump-1", LETTER.topic, b"{", "malformed", "not JSON", None, "c-1", "new")
    ]  # fmt: skip


async def test_dead_letters_survive_the_way_around_duplicates(
    store: TimescaleStore, inspect: Database
) -> None:
    await store.store(batch(Reading()))

    stored = await store.store(batch(Reading(), dead_letters=[LETTER, LETTER]))

    assert stored.duplicates == {"acme": 1}
    assert await inspect.value("select count(*) from dead_letters") == 2


async def test_dead_letters_of_megabytes_are_stored(
    store: TimescaleStore, inspect: Database
) -> None:
    megabyte = bytes(range(256)) * 4096
    letters = [DeadLetter(received_us=NOW_US, topic=None, payload=megabyte,
        reason=Reason.PAYLOAD_TOO_LARGE, detail="") for _ in range(20)]  # fmt: skip

    await store.store(batch(dead_letters=letters))

    sizes = await inspect.rows(
        "select payload = repeat('', 0)::bytea, length(payload) from dead_letters"
    )
    assert sizes == [(False, len(megabyte))] * 20


async def test_a_dead_letter_can_hold_anything(store: TimescaleStore, inspect: Database) -> None:
    worst = "\0\ud800" + "\U0001f600" * 70_000
    letter = DeadLetter(
        received_us=-(2**63), topic=worst, payload=b"\0\xff", reason=Reason.BAD_TOPIC, detail=worst,
        tenant=worst, device=worst, sqlstate=worst, correlation_id=worst,
    )  # fmt: skip

    await store.store(batch(dead_letters=[letter]))

    topic, payload = (await inspect.rows("select topic, payload from dead_letters"))[0]
    assert topic.startswith("\\x00\\ud800\U0001f600")
    assert payload == b"\0\xff"
