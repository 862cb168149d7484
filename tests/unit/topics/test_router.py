import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.errors import Reason, Rejected
from penstock.model import Origin
from penstock.settings.tree import Limits, Route
from penstock.topics import Router, check_name
from tests.unit.topics.matching import matches

ROUTES = (
    Route(topic="devices/{tenant}/{device}/telemetry"),
    Route(topic="lab/{device}/{metric}", tenant="lab", format="scalar"),
    Route(topic="zigbee2mqtt/{device}", tenant="home", format="flat"),
    Route(topic="meters/{tenant}/{device}/+/#", format="scalar", metric="energy"),
    Route(topic="site/#", tenant="site", device="gateway"),
    Route(topic="{tenant}/{device}", format="flat"),
)
ROUTER = Router(ROUTES, Limits())
NAMES = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="+#/\ufffd"),
    min_size=1,
    max_size=128,
)


def refusal(topic: str, router: Router = ROUTER) -> Rejected:
    with pytest.raises(Rejected) as caught:
        router.resolve(topic)
    return caught.value


@pytest.mark.parametrize(
    ("topic", "origin"),
    [
        ("devices/acme/pump-7/telemetry", Origin(0, "acme", "pump-7")),
        ("lab/scope/voltage", Origin(1, "lab", "scope", "voltage")),
        ("zigbee2mqtt/kitchen lamp", Origin(2, "home", "kitchen lamp")),
        ("meters/acme/m1/ignored", Origin(3, "acme", "m1", "energy")),
        ("meters/acme/m1//a/b/c", Origin(3, "acme", "m1", "energy")),
        ("site", Origin(4, "site", "gateway")),
        ("site/a/b", Origin(4, "site", "gateway")),
        ("lab/scope", Origin(5, "lab", "scope")),
    ],
)
def test_a_topic_yields_its_route_and_names(topic: str, origin: Origin) -> None:
    assert ROUTER.resolve(topic) == origin


@given(tenant=NAMES, device=NAMES)
def test_any_valid_names_come_out_of_a_topic_as_they_went_in(tenant: str, device: str) -> None:
    assert ROUTER.resolve(f"devices/{tenant}/{device}/telemetry") == Origin(0, tenant, device)


def test_the_first_route_in_order_takes_the_topic() -> None:
    # zigbee2mqtt/{device} and {tenant}/{device} both match.
    assert ROUTER.resolve("zigbee2mqtt/lamp").route == 2


def test_a_bad_name_is_not_passed_on_to_a_later_route() -> None:
    assert refusal("zigbee2mqtt/").reason is Reason.BAD_TOPIC


@pytest.mark.parametrize(
    "topic", ["a", "devices/a/b", "devices/a/b/telemetry/x", "/a/b/c", "lab/a/b/c"]
)
def test_a_topic_of_no_route_is_unknown(topic: str) -> None:
    assert refusal(topic).reason is Reason.UNKNOWN_ROUTE


@pytest.mark.parametrize("topic", ["$SYS/uptime", "$SYS", "$a/b"])
def test_topics_of_the_broker_itself_match_no_wildcard(topic: str) -> None:
    assert refusal(topic).reason is Reason.UNKNOWN_ROUTE
    everything = Router([Route(topic="#", tenant="t", device="d")], Limits())
    assert refusal(topic, everything).reason is Reason.UNKNOWN_ROUTE


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "devices//pump/telemetry",
        "devices/acme//telemetry",
        f"devices/acme/{'x' * 129}/telemetry",
        "devices/acme/a\tb/telemetry",
        "devices/acme/a\u200b/telemetry",
        "devices/acme/+/telemetry",
        "devices/#",
        "site/\0",
        "site/\ufffd",
        f"site/{chr(0xD800)}",
    ],
)
def test_what_is_no_topic_or_holds_no_valid_name_is_a_bad_topic(topic: str) -> None:
    rejected = refusal(topic)
    assert rejected.reason is Reason.BAD_TOPIC
    assert rejected.detail.isprintable()


def test_names_may_be_limited_further() -> None:
    router = Router(ROUTES[:1], Limits(name_characters=4))
    assert router.resolve("devices/abcd/abcd/telemetry").device == "abcd"
    assert refusal("devices/abcd/abcde/telemetry", router).reason is Reason.BAD_TOPIC


def test_filters_are_subscribed_to_once() -> None:
    routes = [
        Route(topic="a/{tenant}/{device}/t"),
        Route(topic="b/{tenant}/{device}"),
        Route(topic="a/{tenant}/{device}/#"),
    ]
    assert Router(routes, Limits()).filters == ["b/+/+", "a/+/+/#"]


@given(
    st.lists(st.sampled_from(["devices", "lab", "site", "a", "telemetry", "$x", ""]), max_size=5)
)
def test_a_topic_is_taken_exactly_when_a_filter_matches_it(levels: list[str]) -> None:
    topic = "/".join(levels)
    assume(topic)
    try:
        origin = ROUTER.resolve(topic)
    except Rejected as rejected:
        taken = rejected.reason is Reason.BAD_TOPIC
    else:
        taken = True
        assert all(check_name(name) is None for name in (origin.tenant, origin.device))
    assert taken == any(matches(own, topic) for own in ROUTER.filters)


@given(st.text(st.characters()))
def test_no_text_makes_the_router_fail_in_another_way(topic: str) -> None:
    try:
        ROUTER.resolve(topic)
    except Rejected as rejected:
        detail = rejected.detail
    else:
        detail = ""
    assert not detail or detail.isprintable()
    assert len(detail) <= 300
