"""The ways to a broker that the contract holds for, and the event loops to run under."""

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from penstock import sandbox
from penstock.sandbox.endpoints import MQTT_VARIABLE
from penstock.settings.tree import Mqtt

MakeSettings = Callable[..., Mqtt]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="module")
def any_broker(scratch: Path) -> Iterator[sandbox.Broker]:
    """A durable broker that listens for WebSockets too, and may be restarted."""
    if os.environ.get(MQTT_VARIABLE):
        pytest.skip(f"needs a broker of its own, and {MQTT_VARIABLE} names another")
    with sandbox.Broker(scratch / "mqtt-contract", websockets=True) as broker:
        yield broker


@pytest.fixture(params=["tcp", "3.1.1", "websockets"])
def way(request: pytest.FixtureRequest) -> str:
    """A source and a protocol."""
    return str(request.param)


@pytest.fixture
def url(way: str, any_broker: sandbox.Broker) -> str:
    """Where the broker listens for this way."""
    return any_broker.websockets_url if way == "websockets" else any_broker.url


@pytest.fixture
def settings(way: str, url: str) -> MakeSettings:
    """Settings for this way, a client id of its own and short delays."""
    defaults = Mqtt(
        url=url,
        protocol="3.1.1" if way == "3.1.1" else "5",
        client_id=f"source-{secrets.token_hex(6)}",
        reconnect_min_seconds=0.02,
        reconnect_max_seconds=0.2,
    )

    def make(**changes: object) -> Mqtt:
        return replace(defaults, **changes)

    return make
