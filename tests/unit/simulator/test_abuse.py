"""Every kind of abuse is what it says, in the words of the daemon's own list."""

import time

import msgspec
import pytest

from penstock.cli.interpretation import Interpreter
from penstock.errors import Reason, Rejected
from penstock.settings.tree import Route, Settings
from penstock_simulator.abuse import ABUSES, Abuse, abuse_of, marker, marker_pattern
from penstock_simulator.fleet import AbuseWeights, Fleet, Shape

SHAPES: tuple[tuple[str, Shape], ...] = (
    ("envelope", "list"),
    ("flat", "flat"),
    ("scalar", "scalar"),
)
FLEETS = {
    name: Fleet(
        seed=0xBEEF,
        start_us=0,
        step_us=1,
        shape=shape,
        topic="{tenant}/{device}/{metric}" if name == "scalar" else "{tenant}/{device}",
    )
    for name, shape in SHAPES
}
CASES = [(abuse, name) for abuse in ABUSES for name in sorted(abuse.formats)]


@pytest.mark.parametrize(
    ("abuse", "format_name"), CASES, ids=lambda case: getattr(case, "name", case)
)
def test_penstock_refuses_it_for_the_reason_that_is_expected(
    abuse: Abuse, format_name: str
) -> None:
    fleet, now_us = FLEETS[format_name], time.time_ns() // 1_000
    interpreter = Interpreter(Settings(routes=(msgspec.convert(fleet.route, Route),)))
    payload = abuse.build(fleet, marker(fleet.tag, 3, 41), now_us)
    found = marker_pattern(fleet.tag).search(payload)
    assert found is not None
    assert (int(found[1]), int(found[2])) == (3, 41)
    assert marker_pattern("0000dead").search(payload) is None
    with pytest.raises(Rejected) as refusal:
        interpreter.read(abuse.topic(fleet, 5, 3, 41), payload, now_us)
    assert refusal.value.reason == abuse.reason


def test_reasons_are_of_the_closed_list() -> None:
    assert {abuse.reason for abuse in ABUSES} <= {reason.value for reason in Reason}


@pytest.mark.parametrize("format_name", sorted(FLEETS))
def test_all_kinds_come_and_stay_the_same(format_name: str) -> None:
    fleet = FLEETS[format_name]
    kinds = [abuse_of(fleet, 0, number) for number in range(2_000)]
    assert set(kinds) == {abuse for abuse in ABUSES if format_name in abuse.formats}
    assert kinds == [abuse_of(fleet, 0, number) for number in range(2_000)]


def test_profiles_come_as_often_as_they_weigh() -> None:
    weights = AbuseWeights(malformed=0, oversized=0, hostile=1, spoofed=0, flood=3)
    fleet = msgspec.structs.replace(FLEETS["envelope"], abuse=weights)
    profiles = [abuse_of(fleet, 0, number).profile for number in range(4_000)]
    assert set(profiles) == {"hostile", "flood"}
    assert profiles.count("flood") == pytest.approx(3_000, abs=150)


def test_a_flood_is_on_as_many_topics_as_messages() -> None:
    weights = AbuseWeights(malformed=0, oversized=0, hostile=0, spoofed=0)
    fleet = msgspec.structs.replace(FLEETS["envelope"], abuse=weights)
    topics = {abuse_of(fleet, 0, n).topic(fleet, 5, 0, n) for n in range(50)}
    assert len(topics) == 50


def test_abuse_that_a_format_does_not_know_is_refused() -> None:
    weights = AbuseWeights(malformed=0, oversized=0, hostile=0, spoofed=1, flood=0)
    with pytest.raises(ValueError, match="format scalar"):
        abuse_of(msgspec.structs.replace(FLEETS["scalar"], abuse=weights), 0, 0)
