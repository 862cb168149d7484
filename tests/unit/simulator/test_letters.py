"""A dead letter of a well-formed message tells of every reading in it, whatever its shape."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_simulator.expectation import Expectation, Readings
from penstock_simulator.fleet import Fleet
from penstock_simulator.letters import Letter, LetterReader
from penstock_simulator.numbering import is_abuse, places
from penstock_simulator.packets import LaneEncoder
from tests.support.fleets import fleets
from tests.support.simulated import packets_of

FLEET = Fleet(seed=1, start_us=1_790_000_000_000_000, step_us=1_000)


def readings_of(fleet: Fleet, letter: Letter) -> Readings:
    device, refused = LetterReader(fleet).read(letter)
    return Expectation(fleet).identify(
        np.full(len(refused), device),
        np.array([reading.metric for reading in refused]),
        np.array([reading.ts_us for reading in refused]),
        np.array([reading.value for reading in refused]),
    )


@settings(max_examples=60)
@given(fleets(), st.integers(0, 10**6))
def test_every_reading_of_a_message_is_found(fleet: Fleet, first: int) -> None:
    slots = np.arange(first, first + 4)
    packets = packets_of(LaneEncoder(fleet, 0).block(first, first + 4).data)
    well_formed = ~is_abuse(fleet, slots)
    device, message = places(fleet, np.array(0), slots[well_formed])
    for at, number, position in zip(
        np.flatnonzero(well_formed).tolist(), device.tolist(), message.tolist(), strict=True
    ):
        packet, name = packets[at], fleet.device(number)
        readings = readings_of(fleet, Letter("bad_value", packet.payload, name, packet.topic))
        assert Expectation(fleet).messages(readings).tolist() == [position] * len(readings.metric)
        assert sorted(Expectation(fleet).positions(readings).tolist()) == list(
            range(fleet.values_per_message)
        )


def test_a_single_reading_that_the_database_refused_is_found() -> None:
    # In the form in which the daemon keeps it, whatever the shape of the message was.
    ts = "2026-09-21T14:13:20.005Z"
    payload = json.dumps({"ts": ts, "metrics": {"humidity": {"value": 1.0}}}).encode()
    readings = readings_of(FLEET, Letter("storage_error", payload, FLEET.device(0)))
    assert (readings.metric.tolist(), readings.sequence.tolist()) == ([1], [5])


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[1]", b'{"metrics":3}', b'{"readings":7}', b'{"ts":"soon","metrics":{}}',
        b'{"ts":{},"metrics":{"humidity":1}}', b"\xff", b"[" * 10_000,
    ],
)  # fmt: skip
def test_a_payload_of_another_make_tells_of_nothing(payload: bytes) -> None:
    letter = Letter("malformed", payload, FLEET.device(0), FLEET.topic_of(0))
    assert LetterReader(FLEET).read(letter)[1] == []
