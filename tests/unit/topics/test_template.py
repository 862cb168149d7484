import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.topics.template import compile_template, template_faults
from tests.unit.topics.matching import matches

LITERALS = ("a", "b", "a.b", "x(y", "[0-9]*", "ä", "a b", "\\")
LEVELS = st.sampled_from([*LITERALS, "+"])
NAMES = st.permutations(["{tenant}", "{device}", "{metric}"])


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Templates without faults, all kinds of levels in any order."""
    names = draw(NAMES)[: draw(st.integers(0, 3))]
    levels = draw(st.permutations([*names, *draw(st.lists(LEVELS, max_size=3))]))
    ending = draw(st.sampled_from([[], ["#"]])) if levels else ["#"]
    leading = draw(st.sampled_from([[], [""]])) if levels else []
    return "/".join([*leading, *levels, *ending])


@st.composite
def topics_near(draw: st.DrawFn, template: str) -> str:
    """Topics that match a template, or nearly."""
    level = st.sampled_from([*LITERALS, "", "z", "$x", "a\nb", "$"])
    levels = [
        draw(level) if part[:1] in ("{", "+", "#") or draw(st.integers(0, 9)) == 0 else part
        for part in template.split("/")
    ]
    levels += draw(st.lists(level, max_size=2))
    return "/".join(levels[: len(levels) - draw(st.sampled_from([0, 0, 0, 1]))])


@given(st.data())
def test_a_topic_matches_the_pattern_exactly_when_the_broker_would_send_it(
    data: st.DataObject,
) -> None:
    template = data.draw(templates())
    assert template_faults(template) == []
    topic = data.draw(topics_near(template))
    compiled = compile_template(template)

    assert bool(compiled.pattern.fullmatch(topic)) == matches(compiled.filter, topic)


@pytest.mark.parametrize(
    ("template", "own_filter"),
    [
        ("devices/{tenant}/{device}/telemetry", "devices/+/+/telemetry"),
        ("{tenant}/{device}/{metric}", "+/+/+"),
        ("zigbee2mqtt/{device}", "zigbee2mqtt/+"),
        ("/sensors/{device}/+/#", "/sensors/+/+/#"),
        ("#", "#"),
    ],
)
def test_a_template_becomes_a_filter(template: str, own_filter: str) -> None:
    assert compile_template(template).filter == own_filter


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{tenant}/{devcie}", "unknown placeholder '{devcie}'"),
        ("{}/{device}", "unknown placeholder '{}'"),
        ("{device}/{device}", "{device} occurs twice"),
        ("dev-{device}/x", "a placeholder has to be a whole level"),
        ("{device", "a placeholder has to be a whole level"),
        ("device}", "a placeholder has to be a whole level"),
        ("a/#/b", "'#' has to be the whole last level"),
        ("a/b#", "'#' has to be the whole last level"),
        ("a/b+", "'+' has to be a whole level"),
        ("$SYS/{device}", "begin with '$' are the broker's own"),
        ("$share/group/{device}", "mqtt.share_group"),
        ("a//b", "a level is empty"),
        ("a/", "a level is empty"),
        ("/", "a level is empty"),
        ("", "a level is empty"),
        ("a\0b", "not printable"),
        (f"a/{chr(0xD800)}", "not printable"),
        ("a/\ufffd", "not printable"),
        ("x" * 65_536, "longer than MQTT's 65535 bytes"),
    ],
)
def test_a_faulty_template_is_told_what_is_wrong(template: str, fault: str) -> None:
    assert any(fault in found for found in template_faults(template)), template_faults(template)


def test_all_faults_of_a_template_are_told_at_once() -> None:
    assert len(template_faults("$a/{foo}/{device}/{device}/b{c}//#/")) == 6
