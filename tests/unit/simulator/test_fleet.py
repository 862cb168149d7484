"""The numbering of a run goes both ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.fleet import Fleet, step_for


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    tenants, devices = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    return Fleet(
        seed=draw(st.integers(0, 0xFFFFFFFF)),
        start_us=draw(st.integers(1_600_000_000_000_000, 2_000_000_000_000_000)),
        step_us=draw(st.integers(1, 10_000_000)),
        tenants=tenants,
        devices=devices,
        lanes=draw(st.integers(1, tenants * devices)),
        malformed_every=draw(st.sampled_from([0, 2, 3, 200])),
    )


@given(fleets(), st.data())
def test_a_timestamp_tells_its_sequence_number(fleet: Fleet, data: st.DataObject) -> None:
    device = np.array([data.draw(st.integers(0, fleet.size - 1))])
    sequence = np.array([data.draw(st.integers(0, 10**9))])
    ts_us = fleet.timestamps_us(device, sequence)
    assert fleet.sequences(device, ts_us).tolist() == sequence.tolist()
    assert fleet.timestamp_us(int(device[0]), int(sequence[0])) == ts_us[0]


@given(fleets(), st.data())
def test_a_timestamp_between_two_readings_has_no_sequence_number(
    fleet: Fleet, data: st.DataObject
) -> None:
    device = np.array([data.draw(st.integers(0, fleet.size - 1))])
    before = fleet.timestamps_us(device, np.array([0])) - 1
    assert fleet.sequences(device, before).tolist() == [-1]
    if fleet.step_us > 1:
        between = fleet.timestamps_us(device, np.array([5])) + 1
        assert fleet.sequences(device, between).tolist() == [-1]


@given(fleets())
def test_every_device_is_in_one_lane(fleet: Fleet) -> None:
    lanes = [fleet.lane_devices(lane).tolist() for lane in range(fleet.lanes)]
    assert sorted(device for lane in lanes for device in lane) == list(range(fleet.size))


@given(fleets())
def test_envelopes_fill_the_slots_that_are_not_malformed(fleet: Fleet) -> None:
    slots = np.arange(500)
    good = slots[~fleet.is_malformed(slots)]
    numbers = good - fleet.malformed_before(good)
    assert numbers.tolist() == list(range(len(good)))


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


@pytest.mark.parametrize(
    ("rate", "malformed_every", "step_us"),
    [(2_000, 0, 60_000), (2_000, 2, 120_000), (0, 0, 1_200), (1e9, 0, 1)],
)
def test_the_step_follows_from_the_rate(rate: float, malformed_every: int, step_us: int) -> None:
    assert step_for(rate, size=120, malformed_every=malformed_every) == step_us


def test_a_fleet_of_malformed_messages_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="every second"):
        Fleet(seed=1, start_us=0, step_us=1, malformed_every=1)


def test_more_connections_than_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="connections"):
        Fleet(seed=1, start_us=0, step_us=1, tenants=1, devices=2, lanes=3)
