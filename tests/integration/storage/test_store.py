import asyncio
import math
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import Reason
from penstock.model import DeadLetter
from penstock.observability.metrics import StorageCounts
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


async def test_a_reading_that_is_there_already_is_a_duplicate_and_stays(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    first = minutes(3)
    await store.store(batch(*first))
    again = [reading._replace(value=99.0) for reading in first]
    fresh = Reading("humidity")

    stored = await store.store(batch(*again, fresh))

    assert await inspect.numbers() == [fresh, *first]
    assert stored.inserted == {"acme": 1}
    assert stored.duplicates == {"acme": 3}
    assert counts.staging_batches == 1


async def test_of_two_readings_of_one_time_in_a_batch_the_first_received_is_kept(
    store: TimescaleStore, inspect: Database, counts: StorageCounts
) -> None:
    first, second = Reading(value=1.0), Reading(value=2.0)

    stored = await store.store(batch(first, second, Reading("state", value="a")))

    assert await inspect.numbers() == [first]
    assert stored.inserted == {"acme": 2}
    assert stored.duplicates == {"acme": 1}
    assert counts.staging_batches == 0


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
        ts_us=st.integers(NOW_US, NOW_US + 3),
        value=st.sampled_from([1.0, 2.0, "on"]),
        device=st.just("pump-1"),
        tenant=st.sampled_from(["acme", "emca"]),
        quality=st.just(192),
    )
    batches = data.draw(st.lists(st.lists(reading, max_size=12), max_size=6))
    expected: dict[tuple[object, ...], Reading] = {}
    numbering = Numbering()

    for readings in batches:
        new = 0
        for one in readings:
            key = (isinstance(one.value, str), one.tenant, one.device, one.metric, one.ts_us)
            new += key not in expected
            expected.setdefault(key, one)
        stored = await store.store(batch(*readings, numbering=numbering))
        assert sum(stored.inserted.values()) == new
        assert sum(stored.duplicates.values()) == len(readings) - new

    in_order = [expected[key] for key in sorted(expected, key=str)]
    assert [*await inspect.numbers(), *await inspect.texts()] == in_order


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
