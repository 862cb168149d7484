"""The numbering of a run goes both ways."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator import numbering
from penstock_simulator.clocks import grain_us
from penstock_simulator.fleet import Fleet
from penstock_simulator.timing import sequences, timestamp_us, timestamps_us
from tests.support.fleets import fleets

SLOTS = 400


@given(fleets())
def test_every_device_is_in_one_lane(fleet: Fleet) -> None:
    lanes = [numbering.lane_devices(fleet, lane).tolist() for lane in range(fleet.lanes)]
    assert sorted(device for lane in lanes for device in lane) == list(range(fleet.size))
    sizes = numbering.lane_sizes(fleet, np.arange(fleet.lanes))
    assert sizes.tolist() == [len(lane) for lane in lanes]


@given(fleets(), st.data())
def test_every_slot_is_fresh_a_repetition_or_abuse(fleet: Fleet, data: st.DataObject) -> None:
    lane = data.draw(st.integers(0, fleet.lanes - 1))
    slots = np.arange(SLOTS)
    abuse = slots[numbering.is_abuse(fleet, slots)]
    count = int(numbering.fresh_before(fleet, np.array([SLOTS]))[0])
    fresh = numbering.fresh_slots(fleet, np.arange(count))
    repeating, of = numbering.repetitions(fleet, lane, SLOTS)
    assert sorted([*abuse, *fresh, *repeating]) == slots.tolist()
    assert (fresh[of] < repeating).all()
    whole = np.array(lane)
    for these, those in zip(
        numbering.places(fleet, whole, repeating),
        numbering.places(fleet, whole, fresh[of]),
        strict=True,
    ):
        assert these.tolist() == those.tolist()


@given(fleets(), st.data())
def test_a_message_tells_its_slot(fleet: Fleet, data: st.DataObject) -> None:
    lane = data.draw(st.integers(0, fleet.lanes - 1))
    fresh = np.arange(SLOTS)
    device, message = numbering.places(fleet, np.array(lane), numbering.fresh_slots(fleet, fresh))
    assert (device % fleet.lanes == lane).all()
    assert numbering.fresh_of(fleet, device, message).tolist() == fresh.tolist()


@given(fleets(), st.data())
def test_a_device_sends_its_messages_in_order_but_for_the_late_ones(
    fleet: Fleet, data: st.DataObject
) -> None:
    lane = data.draw(st.integers(0, fleet.lanes - 1))
    slots = numbering.fresh_slots(fleet, np.arange(SLOTS))
    device, message = numbering.places(fleet, np.array(lane), slots)
    sent = message[device == lane].tolist()
    every = fleet.late_every or 1
    blocks = [sent[at : at + every] for at in range(0, len(sent) - every + 1, every)]
    for number, block in enumerate(blocks):
        in_order = range(number * every, (number + 1) * every)
        assert sorted(block) == list(in_order)
        if every > 1:
            assert block[-1] != in_order[-1]
            assert block[:-1] == sorted(block[:-1])


times = st.integers(0, 10**6)


@given(fleets(), st.data(), times)
def test_a_timestamp_tells_its_sequence_number(
    fleet: Fleet, data: st.DataObject, number: int
) -> None:
    device = np.array([data.draw(st.integers(0, fleet.size - 1))])
    sequence = np.array([number])
    ts_us = timestamps_us(fleet, device, sequence)
    assert sequences(fleet, device, ts_us).tolist() == [number]
    assert timestamp_us(fleet, int(device[0]), number) == ts_us[0]
    drift_us = ts_us[0] - fleet.start_us - number * fleet.step_us
    before_us = 2 * fleet.batch * fleet.step_us
    assert -fleet.skew_us - before_us - 1_000_000 <= drift_us <= fleet.skew_us + 2 * fleet.step_us


@given(fleets(), st.data(), times)
def test_a_timestamp_between_two_readings_has_no_sequence_number(
    fleet: Fleet, data: st.DataObject, number: int
) -> None:
    device = np.array([data.draw(st.integers(0, fleet.size - 1))])
    before = timestamps_us(fleet, device, np.array([0])) - fleet.step_us
    assert sequences(fleet, device, before).tolist() == [-1]
    if fleet.step_us > 1:
        other = timestamps_us(fleet, device, np.array([number])) + 1
        assert sequences(fleet, device, other).tolist() == [-1]


@given(fleets())
def test_clocks_are_wrong_and_readings_jitter_by_no_more_than_was_asked_for(fleet: Fleet) -> None:
    devices = np.arange(fleet.size)
    first = timestamps_us(fleet, devices, np.zeros_like(devices))
    second = timestamps_us(fleet, devices, np.ones_like(devices))
    assert (np.abs(second - first - fleet.step_us) <= fleet.jitter_us).all()


@given(fleets(), st.data())
def test_no_reading_is_sent_before_it_is_taken(fleet: Fleet, data: st.DataObject) -> None:
    steady = msgspec.structs.replace(fleet, jitter_us=0, skew_us=0)
    lane = data.draw(st.integers(0, fleet.lanes - 1))
    fresh = np.arange(SLOTS)
    device, message = numbering.places(steady, np.array(lane), numbering.fresh_slots(steady, fresh))
    turn = fresh // numbering.lane_sizes(steady, np.array(lane))
    last = message // fleet.variants * fleet.batch + fleet.batch - 1
    taken_us = timestamps_us(steady, device, last)
    interval_us = fleet.step_us * fleet.batch
    sent_us = fleet.start_us + turn // fleet.variants * interval_us
    sent_us += device * fleet.step_us // fleet.size
    assert (taken_us <= sent_us + interval_us * (fleet.variants > 1)).all()
    late_us = interval_us * (fleet.late_every + fleet.variants - 1) + 2 * grain_us(fleet.clock)
    assert (taken_us >= sent_us - late_us).all()
