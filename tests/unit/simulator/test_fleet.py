"""A fleet's names are its own, and fields that contradict each other are refused."""

import pytest
from hypothesis import given

from penstock_simulator.fleet import Fleet, step_for
from tests.support.fleets import fleets

TELLING = "{tenant}/{device}/{metric}"


@given(fleets())
def test_names_are_unique_equally_long_and_carry_the_tag(fleet: Fleet) -> None:
    devices = [fleet.device(number) for number in range(fleet.size)]
    tenants = {fleet.tenant(number) for number in range(fleet.size)}
    assert len(set(devices)) == fleet.size
    assert len(tenants) == fleet.tenants
    for names in (devices, tenants):
        assert len({len(name) for name in names}) == 1
        assert all(name.endswith(fleet.tag) for name in names)


def test_topics_follow_the_template() -> None:
    fleet = Fleet(seed=1, start_us=0, step_us=1, topic="a/{device}/of/{tenant}")
    assert fleet.topic_of(0) == "a/sensor-001-00000001/of/plant-1-00000001"


def test_a_site_is_part_of_the_name_and_may_be_in_the_topic() -> None:
    fleet = Fleet(
        seed=1, start_us=0, step_us=1, type="pump", sites=2, topic="{site}/{tenant}/{device}"
    )
    assert [fleet.site(number) for number in (0, 2, 3, 6)] == [
        "hall-1",
        "hall-1",
        "hall-2",
        "hall-1",
    ]
    assert fleet.topic_of(3) == "hall-2/plant-1-00000001/hall-2-pump-004-00000001"
    assert fleet.route == {"topic": "+/{tenant}/{device}"}


def test_fleets_can_have_their_tenants_in_common() -> None:
    one, two = (
        Fleet(seed=seed, start_us=0, step_us=1, tenant_stem="city", tenant_tag="cafe")
        for seed in (1, 2)
    )
    assert one.tenant(0) == two.tenant(0) == "city-1-cafe"
    assert one.device(0) != two.device(0)


@pytest.mark.parametrize(
    ("rate", "malformed_every", "step_us"),
    [(2_000, 0, 60_000), (2_000, 2, 120_000), (0, 0, 1_200), (1e9, 0, 1)],
)
def test_the_step_follows_from_the_rate(rate: float, malformed_every: int, step_us: int) -> None:
    assert step_for(rate, size=120, malformed_every=malformed_every) == step_us


@pytest.mark.parametrize(
    ("fields", "step_us"),
    [
        ({}, 60_000),
        ({"repeat_every": 2, "malformed_every": 2}, 240_000),
        ({"repeat_every": 3}, 90_000),
        ({"shape": "list", "batch": 10}, 6_000),
        ({"shape": "scalar", "topic": TELLING, "metrics": 3}, 180_000),
        ({"clock": "ms", "devices": 41}, 61_000),
        ({"jitter_us": 60_000}, 60_000),
    ],
)
def test_a_fleet_at_a_rate_has_the_step_that_makes_it(
    fields: dict[str, object], step_us: int
) -> None:
    assert Fleet.at_rate(2_000, seed=1, start_us=0, **fields).step_us == step_us


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"malformed_every": 1}, "every second"),
        ({"late_every": 1}, "every second"),
        ({"repeat_every": 1}, "every second"),
        ({"tenants": 1, "devices": 2, "lanes": 3}, "connections"),
        ({"clock": "ms"}, "cannot step"),
        ({"jitter_us": 1}, "jitter"),
        ({"batch": 2}, "one reading"),
        ({"shape": "scalar"}, "{metric}"),
        ({"topic": TELLING}, "{metric}"),
        ({"topic": "{site}/{tenant}/{device}"}, "no sites"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    fields: dict[str, object], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        Fleet(**{"seed": 1, "start_us": 0, "step_us": 1, **fields})  # type: ignore[arg-type]


def test_a_clock_that_would_stand_still_is_refused() -> None:
    with pytest.raises(ValueError, match="stands still"):
        Fleet.at_rate(2_000, seed=1, start_us=0, clock="s")
