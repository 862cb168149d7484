import pytest

from penstock.errors import ConfigError
from penstock.settings.tree import Limits, Route, Settings
from penstock.topics import Router

SOUND = Route(topic="devices/{tenant}/{device}/telemetry")


def faults(*routes: Route) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Router(routes, Limits())
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_the_default_routes_are_sound() -> None:
    settings = Settings()
    assert Router(settings.routes, settings.limits).filters == ["devices/+/+/telemetry"]


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        (Route(topic="a/{device}"), "topic: {tenant} is missing"),
        (Route(topic="a/{tenant}"), "topic: {device} is missing"),
        (Route(topic="{tenant}/{device}", tenant="t"), "tenant: set here and as {tenant}"),
        (Route(topic="{tenant}/{device}", device="d"), "device: set here and as {device}"),
        (Route(topic="a/{device}", tenant="a/b"), "tenant: 'a/b' holds one of"),
        (Route(topic="a/{device}", tenant=""), "tenant: '' is empty"),
        (Route(topic="{tenant}/{device}/x", format="scalar"), "topic: {metric} is missing"),
        (
            Route(topic="{tenant}/{device}/{metric}", format="scalar", metric="m"),
            "metric: set here and as {metric}",
        ),
        (Route(topic="{tenant}/{device}/{metric}"), "topic: format envelope has its metrics"),
        (
            Route(topic="{tenant}/{device}", format="flat", metric="m"),
            "metric: format flat has its metrics",
        ),
        (
            Route(topic="{tenant}/{device}", timestamp_path="t"),
            "timestamp_path: is for format flat",
        ),
        (Route(topic="{tenant}/{device}", ignore_paths=("t",)), "ignore_paths: is for format flat"),
        (
            Route(topic="{tenant}/{device}", format="flat", timestamp_path="a..b"),
            "timestamp_path: 'a..b' is not a dotted path",
        ),
        (
            Route(topic="{tenant}/{device}", format="flat", ignore_paths=("a", "")),
            "ignore_paths[1]: '' is not a dotted path",
        ),
        (
            Route(
                topic="{tenant}/{device}", format="flat", timestamp_path="a.b", ignore_paths=("a",)
            ),
            "timestamp_path: 'a.b' is among the ignore_paths",
        ),
        (Route(topic="a//{tenant}/{device}"), "topic: a level is empty"),
    ],
)
def test_a_faulty_route_is_named_with_its_fault(route: Route, fault: str) -> None:
    found = faults(SOUND, route)
    assert [line for line in found if line.startswith(f"routes[1].{fault}")], found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Route(topic="a/{tenant}/{device}"), Route(topic="a/{device}/+", tenant="t")),
        (Route(topic="{tenant}/{device}/#"), Route(topic="x/{tenant}/{device}")),
    ],
)
def test_a_route_whose_topics_all_go_to_an_earlier_one_is_refused(
    first: Route, second: Route
) -> None:
    assert faults(first, second) == [
        f"routes[1].topic: never reached: routes[0], {first.topic!r}, takes all its topics"
    ]


def test_a_narrow_route_may_stand_before_a_wide_one() -> None:
    narrow, wide = Route(topic="x/{tenant}/{device}"), Route(topic="{tenant}/{device}/#")
    assert Router([narrow, wide], Limits()).filters == ["+/+/#"]


def test_all_faults_of_all_routes_are_told_at_once() -> None:
    found = faults(
        Route(topic="a/{foo}", timestamp_path="t"),
        SOUND,
        Route(topic="{tenant}/{device}", tenant="t", format="scalar"),
        SOUND,
    )
    assert [line.split(":")[0] for line in found] == [
        "routes[0].topic",
        "routes[0].topic",
        "routes[0].topic",
        "routes[0].timestamp_path",
        "routes[2].tenant",
        "routes[2].topic",
        "routes[3].topic",
    ]
