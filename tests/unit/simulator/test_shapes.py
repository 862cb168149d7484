"""Payloads look as they do in the documentation."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from penstock_simulator.fleet import Fleet
from penstock_simulator.packets import LaneEncoder
from penstock_simulator.shapes import QUALITIES, qualities
from penstock_simulator.signals import Moment
from tests.support.simulated import packets_of


def payload_of(**fields: object) -> Any:
    fleet = Fleet(seed=1, start_us=1_790_000_000_000_000, step_us=1_000_000, **fields)  # type: ignore[arg-type]
    return json.loads(packets_of(LaneEncoder(fleet, 0).block(0, 1).data)[0].payload)


def test_flat_payloads_nest_what_belongs_together() -> None:
    pump = payload_of(type="pump", shape="flat", timestamp_path="at")
    assert pump["at"] == 1_790_000_000_000_000
    assert set(pump["motor"]) == {"temperature", "vibration"}
    assert type(pump["running"]) is bool
    assert pump["state"] in ("idle", "priming", "pumping", "fault")
    assert len(payload_of(type="vehicle", shape="flat")["tyres"]) == 4


def test_a_gateway_speaks_for_its_children() -> None:
    gateway = payload_of(type="gateway", shape="flat")
    assert set(gateway["child-8"]) == {"temperature", "humidity", "battery"}


def test_batches_are_lists_or_have_readings() -> None:
    several = payload_of(shape="list", batch=3)
    assert [envelope["ts"] for envelope in several] == [
        1_790_000_000_000_000 + number * 1_000_000 for number in (-2, -1, 0)
    ]
    assert len(payload_of(shape="readings", batch=4)["readings"]) == 4


def test_numbers_can_have_quality_and_unit() -> None:
    warmth = payload_of(shape="detailed")["metrics"]["temperature"]
    assert warmth["quality"] in QUALITIES
    assert warmth["unit"] == "°C"


@pytest.mark.parametrize(("shape", "kind"), [("scalar", float), ("quoted", str)])
def test_a_payload_can_be_a_single_value(shape: str, kind: type) -> None:
    assert type(payload_of(shape=shape, topic="{tenant}/{device}/{metric}")) is kind


def test_most_readings_are_good_and_some_are_not() -> None:
    count = 10_000
    numbers = np.arange(count)
    chosen = qualities(Moment(np.full(count, 7, dtype=np.uint64), numbers, numbers), 2)
    counted = Counter(QUALITIES[position] for position in chosen.tolist())
    assert set(counted) == set(QUALITIES)
    assert counted[192] > 0.9 * count
