"""Encoded packets are what the codec would have made of them, and say what is expected."""

import mqtt5
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_simulator.abuse import abuse_of, marker
from penstock_simulator.expectation import Expectation
from penstock_simulator.fleet import Fleet
from penstock_simulator.numbering import is_abuse, places
from penstock_simulator.packets import LaneEncoder, encoder_of
from tests.support.fleets import fleets
from tests.support.simulated import Sample, packets_of, samples_of

START_US = 1_790_000_000_000_000


def fleet_with(**changes: object) -> Fleet:
    return Fleet(**{"seed": 7, "start_us": START_US, "step_us": 60_000, "lanes": 2, **changes})  # type: ignore[arg-type]


def expected_of(fleet: Fleet, device: int, samples: list[Sample]) -> tuple[list[int], list[bool]]:
    """Which messages of a device the judge thinks samples to be of, and whether they are right."""
    expectation = Expectation(fleet)
    messages, right = [], []
    for sample in samples:
        is_text = isinstance(sample.value, str)
        value = np.array([sample.value], dtype=object if is_text else np.float64)
        metric = np.array([fleet.metric_names.index(sample.metric)])
        assert expectation.is_text(metric).tolist() == [is_text]
        readings = expectation.identify(np.array([device]), metric, np.array([sample.ts_us]), value)
        messages += expectation.messages(readings).tolist()
        quality = None if sample.quality is None else np.array([sample.quality])
        right += expectation.right(readings, value, quality).tolist()
    return messages, right


@settings(max_examples=150)
@given(fleets(), st.data())
def test_every_packet_says_what_the_judge_expects(fleet: Fleet, data: st.DataObject) -> None:
    lane = data.draw(st.integers(0, fleet.lanes - 1))
    first = data.draw(st.integers(0, 10**6))
    slots = np.arange(first, first + 12)
    packets = packets_of(LaneEncoder(fleet, lane).block(first, first + 12).data)
    assert len(packets) == 12
    well_formed = ~is_abuse(fleet, slots)
    device, message = places(fleet, np.array(lane), slots[well_formed])
    path = fleet.timestamp_path if fleet.shape == "flat" else None
    for at, number, position in zip(
        np.flatnonzero(well_formed).tolist(), device.tolist(), message.tolist(), strict=True
    ):
        variant = position % fleet.variants
        assert packets[at].topic == fleet.topic_of(number, variant)
        name = fleet.metric_names[variant] if fleet.untimed else None
        samples = samples_of(packets[at].payload, metric=name, timestamp_path=path)
        assert len(samples) == fleet.values_per_message
        messages, right = expected_of(fleet, number, samples)
        assert messages == [position] * len(samples)
        assert all(right)


@settings(max_examples=50)
@given(fleets(), st.data())
def test_messages_of_many_lanes_at_once_are_those_of_each(
    fleet: Fleet, data: st.DataObject
) -> None:
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, fleet.lanes - 1), st.integers(0, 999)), min_size=1)
    )
    lanes, slots = (np.array(column) for column in zip(*pairs, strict=True))
    together, ends = encoder_of(fleet).encode(lanes, slots)
    alone = [bytes(LaneEncoder(fleet, lane).block(slot, slot + 1).data) for lane, slot in pairs]
    assert together == b"".join(alone)
    assert ends.tolist() == np.cumsum([len(packet) for packet in alone]).tolist()


@pytest.mark.parametrize("changed", [1e-3, 1.0, -5.0, float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("shape", ["envelope", "scalar"])
def test_another_value_is_never_right(changed: float, shape: str) -> None:
    topic = "{tenant}/{device}/{metric}" if shape == "scalar" else "{tenant}/{device}"
    fleet = fleet_with(shape=shape, topic=topic)
    packet = packets_of(LaneEncoder(fleet, 0).block(0, 1).data)[0]
    name = fleet.metric_names[0]
    sample = samples_of(
        packet.payload, metric=name if shape == "scalar" else None, timestamp_path=None
    )[0]
    assert isinstance(sample.value, float)
    _, right = expected_of(fleet, 0, [sample._replace(value=sample.value + changed)])
    assert right == [False]


def test_abuse_slots_carry_what_their_number_says() -> None:
    fleet = fleet_with(malformed_every=2)
    packets = packets_of(LaneEncoder(fleet, 0).block(0, 200).data)
    for number, packet in enumerate(packets[1::2]):
        kind = abuse_of(fleet, 0, number)
        assert marker(fleet.tag, 0, number).encode() in packet.payload
        name = (kind.device or "").replace("@", f"0-{number}-{fleet.tag}")
        assert kind.device is None or f"/{name}/" in packet.topic


def test_packet_ids_go_round_without_zero() -> None:
    packets = packets_of(LaneEncoder(fleet_with(), 0).block(65_533, 65_537).data)
    assert [packet.packet_id for packet in packets] == [65_534, 65_535, 1, 2]


@pytest.mark.parametrize("malformed_every", [0, 5])
def test_a_repeated_packet_differs_in_its_dup_flag_alone(malformed_every: int) -> None:
    encoder = LaneEncoder(fleet_with(malformed_every=malformed_every), 0)
    first = packets_of(encoder.block(0, 50).data)
    again = packets_of(encoder.block(0, 50, duplicate=True).data)
    for one, two in zip(first, again, strict=True):
        assert not one.duplicate
        assert two.duplicate
        assert (one.topic, one.payload, one.packet_id) == (two.topic, two.payload, two.packet_id)


def test_qos_0_packets_have_no_packet_id() -> None:
    packets = packets_of(LaneEncoder(fleet_with(qos=0, malformed_every=4), 0).block(0, 20).data)
    assert {packet.packet_id for packet in packets} == {None}
    assert all(packet.qos == mqtt5.QoS.AT_MOST_ONCE for packet in packets)


@pytest.mark.parametrize("malformed_every", [0, 3])
def test_a_block_can_be_cut_anywhere(malformed_every: int) -> None:
    block = LaneEncoder(fleet_with(malformed_every=malformed_every), 0).block(10, 40)
    whole = packets_of(block.data)
    for start, stop in [(10, 11), (10, 40), (17, 23), (39, 40)]:
        cut = packets_of(block.cut(start, stop))
        assert [p.packet_id for p in cut] == [p.packet_id for p in whole[start - 10 : stop - 10]]


def test_packet_bytes_is_the_length_of_an_envelopes_packet() -> None:
    encoder = LaneEncoder(fleet_with(), 0)
    assert len(encoder.block(0, 1).data) == encoder.packet_bytes
