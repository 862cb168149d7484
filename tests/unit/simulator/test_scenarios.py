"""The scenarios that are shipped can be had, and what is wrong with another is told all at once."""

import re
from pathlib import Path

import msgspec
import pytest

from penstock.errors import ConfigError
from penstock_simulator.ramping import Ramping
from penstock_simulator.scenario import Group, Scenario
from penstock_simulator.scenario_files import Found, find, parse, shipped
from tests.support.fleets import TYPES

NAMES = {
    *("demo", "factory", "smart-city", "fleet-of-vehicles"),
    *("reconnect-storm", "database-outage", "noisy-tenant", "soak"),
}
ENDLESS = "{factor: 2, burst_seconds: 2, period_seconds: 1}"
KILL_BROKER = "{kill: broker, at_seconds: 1, for_seconds: 1}"
STOP_DAEMON = "{stop: daemon, at_seconds: 1, for_seconds: 5}"
STOP_BROKER = "{stop: broker, at_seconds: 5, for_seconds: 1}"
MANUAL = Path(__file__).parents[3] / "docs" / "simulator.md"
GROUP = "{name: a, rate: 10, devices: 4}"


def scenario_of(*groups: str, rest: str = "") -> Scenario:
    listed = "".join(f"  - {group}\n" for group in groups)
    return parse(f"story: Once.\n{rest}\ngroups:\n{listed}", "s.yaml")


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(text, "s.yaml")
    return [line.strip() for line in str(raised.value).splitlines()[1:]]


def test_all_that_are_promised_are_shipped() -> None:
    assert {found.name for found in shipped()} == NAMES


@pytest.mark.parametrize("found", shipped(), ids=lambda found: found.name)
@pytest.mark.parametrize("rate", [50.0, 1_000.0, 50_000.0])
def test_a_shipped_scenario_can_be_had_at_any_rate(found: Found, rate: float) -> None:
    scenario = found.scenario
    fleets = scenario.fleets(scale=rate / scenario.rate, seed=7, start_us=0)
    assert [fleet.size for fleet in fleets] == [group.size for group in scenario.groups]
    assert "\n" not in scenario.story


def test_the_shipped_scenarios_show_every_type_of_device() -> None:
    assert {group.type for found in shipped() for group in found.scenario.groups} == set(TYPES)


def test_the_rate_of_a_scenario_is_shared_by_its_groups() -> None:
    scenario = scenario_of("{name: a, rate: 10}", "{name: b, rate: 30}")
    assert scenario.rate == 40


def test_groups_share_tenants_by_what_they_are_called() -> None:
    same = scenario_of(GROUP, "{name: b, rate: 10}", "{name: c, rate: 10, tenant_stem: other}")
    first, second, other = same.fleets(scale=1.0, seed=3, start_us=0)
    assert first.tenant(0) == second.tenant(0) != other.tenant(0)
    assert len({first.device(0), second.device(0), other.device(0)}) == 3


def test_the_same_seed_gives_the_same_fleets() -> None:
    scenario = find("factory").scenario
    once, again, other = (scenario.fleets(scale=1.0, seed=s, start_us=0) for s in (5, 5, 6))
    assert once == again != other


def test_a_burst_leaves_the_mean_rate_as_it_is() -> None:
    bursts = "{factor: 10, burst_seconds: 1, period_seconds: 10}"
    (group,) = scenario_of(f"{{name: a, rate: 10, bursts: {bursts}}}").groups
    assert group.pace(10.0).due_messages(100.0) == pytest.approx(1_000)


def test_a_connection_for_each_device_is_asked_for_with_0() -> None:
    group = Group(name="a", rate=1.0, tenants=3, devices=5, connections=0)
    assert group.fleet(rate=1.0, seed=1, tenant_tag="t", start_us=0).lanes == 15


def test_routes_are_those_that_the_groups_need_each_once() -> None:
    flat = "{name: b, rate: 1, shape: flat, topic: 'v/{tenant}/{device}'}"
    assert scenario_of(GROUP, "{name: c, rate: 1}", flat).routes == [
        {"topic": "devices/{tenant}/{device}/telemetry"},
        {"topic": "v/{tenant}/{device}", "format": "flat", "timestamp_path": "last_seen"},
    ]


def test_every_fault_is_told_with_its_path_and_line() -> None:
    text = """
story: Once.
durations: 5
groups:
  - {name: a, rate: -1}
  - {name: b, rate: 1, type: toaster, timing: {clock: ms, jiter_seconds: 1}}
  - {rate: 1}
  - {name: c, rate: 1, connections: 50}
"""
    told = faults_of(text)
    assert [fault.split(":")[0] for fault in told] == [
        "durations", "groups[0].rate", "groups[1].type", "groups[1].timing.jiter_seconds",
        "groups[2].name", "groups[3]",
    ]  # fmt: skip
    assert told[0].startswith("durations: unknown key; did you mean duration_seconds?")
    assert told[3].endswith("did you mean groups[1].timing.jitter_seconds? (line 6)")
    assert told[5] == "groups[3]: 40 devices cannot publish over 50 connections (line 8)"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "story: is required"),
        (
            f"story: x\nramp: {{from_rate: 9, to_rate: 5}}\ngroups: [{GROUP}]",
            "ramp: it must rise, from above 0",
        ),
        ("story: x", "groups: is required"),
        ("story: x\ngroups: []", "groups: expected at least 1, got 0 (line 2)"),
        (
            f"story: x\ngroups: [{GROUP}]\ndisturbances: [{{at_seconds: 1, for_seconds: 1}}]",
            "disturbances[0]: say what to stop or what to kill",
        ),
        (
            f"story: x\ngroups: [{GROUP}]\ndisturbances: [{KILL_BROKER}]",
            "disturbances[0].kill: expected one of daemon, database or null",
        ),
        (
            f"story: x\ngroups: [{GROUP}]\ndisturbances: [{STOP_DAEMON}, {STOP_BROKER}]",
            "disturbances[1]: begins before the one before it is over",
        ),
        ("just text", 'expected a section, got "just text" (line 1)'),
        (f"story: x\ngroups: [{GROUP}, {GROUP}]", "groups[1].name: there is a group a before it"),
        ("story: x\ngroups: [{name: A/B, rate: 1}]", "groups[0].name: expected small letters"),
        (
            f"story: x\ngroups: [{{name: a, rate: 1, bursts: {ENDLESS}}}]",
            "groups[0].bursts: a burst must be shorter than its period",
        ),
        (
            f"story: x\ngroups: [{GROUP}, {{name: b, rate: 1, shape: flat}}]",
            "groups[1].topic: groups[0] reads the same messages in another way",
        ),
    ],
)
def test_what_is_wrong_is_told(text: str, fault: str) -> None:
    assert any(told.startswith(fault) for told in faults_of(text))


def test_a_name_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"there is no scenario demos: .* database-outage, demo,"):
        find("demos")


def test_a_scenario_of_ones_own_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"story: Mine.\ngroups: [{GROUP}]\n")
    assert find(str(path)) == Found("mine", parse(path.read_text(), "mine"))
    with pytest.raises(ConfigError, match="cannot be read"):
        find(str(tmp_path / "other.yaml"))


def test_the_manual_lists_what_is_shipped_and_every_key_of_a_group() -> None:
    sections = MANUAL.read_text().split("\n## ")
    text = "".join(section for section in sections if not section.startswith("Captures\n"))
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    told = set(re.findall(r"`([a-z.\-_]+)`", " ".join(rows)))
    assert told >= NAMES
    assert {key.partition(".")[0] for key in told - NAMES} == {
        field.name for field in msgspec.structs.fields(Group)
    }


def test_the_example_of_the_manual_is_a_scenario() -> None:
    example, more = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text(), flags=re.DOTALL)
    scenario = parse(example + more, "example")
    assert [group.name for group in scenario.groups] == ["climate", "pumps"]
    assert [each.server for each in scenario.disturbances] == ["broker", "daemon", "database"]


def test_a_ramp_leaves_out_what_else_would_delay_messages() -> None:
    storm = find("reconnect-storm").scenario
    assert [group.life.cuts for group in storm.level.groups] == [(), ()]
    assert storm.level.rate == storm.rate
    assert find("noisy-tenant").scenario.level.groups[1].bursts is None
    assert find("database-outage").scenario.level.disturbances == ()


def test_groups_share_a_ramp_as_they_share_the_rate() -> None:
    ramp = Ramping.parse("100:400").pace(20.0)
    parts = [ramp.part(0.25), ramp.part(0.75)]
    due = sum(part.due_messages(7.0) for part in parts)
    assert due == pytest.approx(ramp.due_messages(7.0))
    assert parts[0].due_messages(20.0) * 3 == pytest.approx(parts[1].due_messages(20.0))


@pytest.mark.parametrize("text", ["", "5", "5:x", "9:5", "0:5", "5:"])
def test_what_is_no_ramp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no ramp"):
        Ramping.parse(text)
