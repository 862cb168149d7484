"""What both sources share, shown without a broker: the connection's calls are made by the test."""

import pytest

from penstock.clock import SystemClock
from penstock.mqtt.compat import CompatSource
from penstock.mqtt.connection import Connected
from penstock.mqtt.reconnecting import ReconnectingSource
from penstock.mqtt.tcp import TcpSource
from penstock.mqtt.wire import PlainMessage
from penstock.settings.mqtt_url import parse_url
from penstock.settings.tree import Mqtt
from tests.support.recorder import Recorder

MESSAGE = PlainMessage("a", b"x", 1)
both_sources = pytest.mark.parametrize("kind", [TcpSource, CompatSource])


def made(
    kind: type[ReconnectingSource], recorder: Recorder, settings: Mqtt | None = None
) -> ReconnectingSource:
    settings = settings or Mqtt()
    return kind(settings, parse_url(settings.url), ["a"], recorder, SystemClock(), lambda: 0.5)


@both_sources
async def test_the_intake_hears_of_no_message_after_stop(kind: type[ReconnectingSource]) -> None:
    recorder = Recorder()
    source = made(kind, recorder)
    source.connected(Connected(session_present=False, keepalive_seconds=30))
    source.received(10, [MESSAGE])
    await source.stop()
    source.received(10, [MESSAGE])
    assert recorder.payloads() == [b"x"]
    assert source.traffic.messages_received == 1
