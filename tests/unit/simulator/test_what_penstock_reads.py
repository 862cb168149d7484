"""Penstock reads out of every packet what the judge expects it to store."""

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.cli.interpretation import Interpreter
from penstock.settings.tree import Route, Settings
from penstock_simulator.expectation import Expectation
from penstock_simulator.fleet import Fleet
from penstock_simulator.numbering import is_abuse, places
from penstock_simulator.packets import LaneEncoder
from penstock_simulator.timing import timestamp_us
from tests.support.fleets import fleets
from tests.support.simulated import packets_of


@settings(max_examples=60)
@given(fleets(), st.integers(0, 10**6))
def test_what_is_read_is_what_was_said(fleet: Fleet, first: int) -> None:
    interpreter = Interpreter(Settings(routes=(msgspec.convert(fleet.route, Route),)))
    expectation = Expectation(fleet)
    slots = np.arange(first, first + 8)
    packets = packets_of(LaneEncoder(fleet, 0).block(first, first + 8).data)
    well_formed = ~is_abuse(fleet, slots)
    device, message = places(fleet, np.array(0), slots[well_formed])
    units = {metric.name: metric.unit or None for metric in fleet.reported}
    for at, number, position in zip(
        np.flatnonzero(well_formed).tolist(), device.tolist(), message.tolist(), strict=True
    ):
        packet = packets[at]
        sent_us = timestamp_us(fleet, number, position // fleet.variants * fleet.batch)
        read = interpreter.read(packet.topic, packet.payload, sent_us)
        assert (read.device.tenant, read.device.device) == (
            fleet.tenant(number),
            fleet.device(number),
        )
        found = list(read.readings())
        assert len(found) == fleet.values_per_message
        for reading in found:
            text = isinstance(reading.value, str)
            value = np.array([reading.value], dtype=object if text else np.float64)
            metric = np.array([fleet.metric_names.index(reading.metric)])
            readings = expectation.identify(
                np.array([number]), metric, np.array([reading.ts_us]), value
            )
            assert expectation.messages(readings).tolist() == [position]
            quality = None if reading.quality is None else np.array([reading.quality])
            assert expectation.right(readings, value, quality).all()
            if fleet.shape == "detailed" and not text:
                assert reading.unit == units[reading.metric]
