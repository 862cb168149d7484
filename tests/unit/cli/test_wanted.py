import pytest

from penstock.cli.wanted import Wanted
from penstock.errors import ConfigError
from penstock.model import SeriesIndex
from penstock.pipeline.devices import Device
from penstock.settings.tree import Route

ROUTES = (
    Route(topic="devices/{tenant}/{device}/telemetry"),
    Route(topic="zigbee/{device}", tenant="home"),
    Route(topic="plc/{tenant}/#", device="plc"),
)


def device(tenant: str, name: str) -> Device:
    return Device(SeriesIndex(), tenant, name)


def test_everything_is_wanted_by_default() -> None:
    assert Wanted().filters(ROUTES) == ["devices/+/+/telemetry", "zigbee/+", "plc/+/#"]
    assert Wanted().includes(device("acme", "pump"))


def test_the_broker_is_asked_for_what_is_wanted_alone() -> None:
    assert Wanted(tenant="acme").filters(ROUTES) == ["devices/acme/+/telemetry", "plc/acme/#"]
    assert Wanted(tenant="home", device="lamp").filters(ROUTES) == [
        "devices/home/lamp/telemetry",
        "zigbee/lamp",
    ]
    assert Wanted(device="plc").filters(ROUTES) == [
        "devices/+/plc/telemetry",
        "zigbee/plc",
        "plc/+/#",
    ]


def test_no_filter_is_left_when_no_route_can_bring_it() -> None:
    assert Wanted(tenant="other").filters(ROUTES[1:2]) == []


@pytest.mark.parametrize(
    ("wanted", "included"),
    [
        (Wanted(tenant="acme"), True),
        (Wanted(tenant="acme", device="pump"), True),
        (Wanted(device="pump"), True),
        (Wanted(tenant="other"), False),
        (Wanted(tenant="acme", device="fan"), False),
    ],
)
def test_a_device_is_wanted_when_both_names_are(wanted: Wanted, *, included: bool) -> None:
    assert wanted.includes(device("acme", "pump")) is included


@pytest.mark.parametrize("name", ["", "+", "a/b", "#", "\x1b"])
def test_what_is_no_name_is_refused_and_never_becomes_a_filter(name: str) -> None:
    with pytest.raises(ConfigError, match="--tenant"):
        Wanted(tenant=name)
