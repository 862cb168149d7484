"""Records of runs that never took place, and what can be read of a page."""

import xml.etree.ElementTree as ET
from typing import Any

import msgspec
import numpy as np

from penstock_simulator.account import Account, Latency, TenantAccount
from penstock_simulator.fleet import Fleet
from penstock_simulator.knee import Climb, Step
from penstock_simulator.ledger import ACKNOWLEDGED, LaneLedger, Ledger
from penstock_simulator.report.assembly import Part, Told, record_of
from penstock_simulator.report.record import Event, Record
from penstock_simulator.sampling import Samples

BEGAN_US = 1_700_000_000_000_000
TOLD = Told(
    scenario="A <plant> & more",
    story='Pumps that say "less" < more.',
    command="penstock-sim run --url mqtt://broker",
    seed=7,
    events=[Event(1.5, "The database was stopped.")],
)
ACCOUNT = Account(
    published=1_000,
    acknowledged=1_000,
    expected_readings=2_985,
    stored_readings=2_985,
    lost=0,
    duplicates=0,
    corrupt=0,
    invented=0,
    both=0,
    refused=0,
    misjudged=0,
    dead_lettered={"malformed": 5},
    repeated_dead_letters=0,
    latency_ms=Latency(50.1, 99.9),
    messages_per_second=2_000.0,
    readings_per_second=5_970.0,
    tenants={
        "plant-<1>": TenantAccount(
            published=1_000,
            acknowledged=1_000,
            expected_readings=2_985,
            stored_readings=2_985,
            lost=0,
            dead_lettered=5,
        )
    },
)


def _step(rate: float, answered: float, p99_ms: float, *, kept_up: bool) -> Step:
    return Step(
        rate=rate,
        due=round(rate) - 10,
        answered=round(rate) - 10,
        due_per_second=rate - 10,
        answered_per_second=answered,
        p50_ms=p99_ms / 2,
        p99_ms=p99_ms,
        simulator_cpu=0.2,
        simulator_limits=False,
        kept_up=kept_up,
    )


CLIMB = Climb(
    until="committed",
    within_ms=500,
    steps=[
        _step(1_000, 990, 80, kept_up=True),
        _step(2_000, 1_985, 90, kept_up=True),
        _step(3_000, 2_100, 2_500, kept_up=False),
    ],
    rate=2_000,
    verdict="knee",
)


def ledger_of(sent_us: list[int], waits_us: list[int]) -> Ledger:
    """What one lane sent at these times; a wait of 0 was never answered."""
    fleet = Fleet(seed=7, start_us=BEGAN_US, step_us=1_000, tenants=1, devices=1, lanes=1)
    lane = LaneLedger(started_us=BEGAN_US)
    for slot, (at, wait) in enumerate(zip(sent_us, waits_us, strict=True)):
        lane.append(1, BEGAN_US + at)
        if wait:
            lane.settle(np.array([slot]), ACKNOWLEDGED, BEGAN_US + at + wait)
    return Ledger(fleet, {0: lane})


def record(*, seconds: int = 3, **changes: Any) -> Record:
    """A run of 10 messages a second, each acknowledged after 2 to 11 ms; nothing was judged."""
    sent_us = [number * 100_000 for number in range(seconds * 10)]
    waits_us = [2_000 + number % 10 * 1_000 for number in range(seconds * 10)]
    samples = Samples(
        at_seconds=[float(second + 1) for second in range(seconds)],
        daemon_cpu=[0.25] * seconds,
        daemon_memory_bytes=[83_886_080.0] * seconds,
        queue_rows=[120.0] * (seconds - 1) + [None],
        spool_rows=[0.0] * seconds,
        spool_bytes=[0.0] * seconds,
        received_per_second=[10.0] * seconds,
    )
    made = record_of(TOLD, [Part("pumps", ledger_of(sent_us, waits_us))], samples)
    return msgspec.structs.replace(made, **changes)


def parsed(page: str) -> ET.Element:
    """A page as XML, which only a well-formed one is."""
    kind, _, rest = page.partition("\n")
    assert kind == "<!DOCTYPE html>"
    return ET.fromstring(rest)


def text_of(element: ET.Element) -> str:
    """All text in an element, with single spaces."""
    return " ".join(" ".join(element.itertext()).split())
