"""Encoded packets are what the codec would have made of them."""

import json

import mqtt5
import numpy as np
import pytest

from penstock_simulator.abuse import abuse_of, marker
from penstock_simulator.fleet import Fleet
from penstock_simulator.identity import keys_of
from penstock_simulator.packets import LaneEncoder
from penstock_simulator.signals import signal_of, thousandths

START_US = 1_790_000_000_000_000


def fleet_with(**changes: object) -> Fleet:
    return Fleet(**{"seed": 7, "start_us": START_US, "step_us": 60_000, "lanes": 2, **changes})  # type: ignore[arg-type]


def packets_of(data: bytes | memoryview) -> list[mqtt5.PublishPacket]:
    view, packets = memoryview(data), []
    while view:
        packet, used = mqtt5.read(view)
        assert isinstance(packet, mqtt5.PublishPacket)
        packets.append(packet)
        view = view[used:]
    return packets


@pytest.mark.parametrize("metrics", [1, 3, 12])
def test_every_packet_carries_its_slots_reading(metrics: int) -> None:
    fleet = fleet_with(metrics=metrics, malformed_every=3)
    block = LaneEncoder(fleet, 1).block(40, 400)
    devices = fleet.lane_devices(1).tolist()
    packets = packets_of(block.data)
    assert len(packets) == 360
    for slot, packet in enumerate(packets, start=40):
        if slot % 3 == 2:
            continue
        envelope = slot - slot // 3
        device, sequence = devices[envelope % len(devices)], envelope // len(devices)
        assert packet.topic == fleet.topic_of(device)
        body = json.loads(packet.payload)
        assert body["ts"] == fleet.timestamp_us(device, sequence)
        assert list(body["metrics"]) == list(fleet.metric_names)
        for name, value in body["metrics"].items():
            key = keys_of(7, [(fleet.tenant(device), fleet.device(device), name)])
            exact = thousandths(signal_of(name), key, np.array([sequence]), np.array([body["ts"]]))
            assert value == exact[0] / 1_000


def test_malformed_slots_carry_what_their_number_says() -> None:
    fleet = fleet_with(malformed_every=2)
    packets = packets_of(LaneEncoder(fleet, 0).block(0, 200).data)
    for number, packet in enumerate(packets[1::2]):
        kind = abuse_of(fleet.seed, 0, number)
        assert marker(fleet.tag, 0, number).encode() in packet.payload
        assert (kind.device is None) or (f"/{kind.device}/" in packet.topic)


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
