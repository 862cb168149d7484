"""What both sources share, shown without a broker: the connection's calls are made by the test."""

import pytest
from structlog.testing import capture_logs

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


@both_sources
@pytest.mark.parametrize(
    ("expiry_seconds", "present", "lost"),
    [
        (60, [False], 0),
        (60, [False, True], 0),
        (60, [True, False], 1),
        (60, [False, False, True, False], 2),
        (0, [False, False], 0),
    ],
    ids=["the first", "kept", "dropped", "dropped twice", "not to be kept"],
)
def test_a_session_that_the_broker_should_have_kept_is_missed(
    kind: type[ReconnectingSource], expiry_seconds: int, present: list[bool], lost: int
) -> None:
    source = made(kind, Recorder(), Mqtt(session_expiry_seconds=expiry_seconds))
    with capture_logs() as logs:
        for session_present in present:
            source.connected(Connected(session_present, keepalive_seconds=30))
    warnings = [entry for entry in logs if entry["event"] == "mqtt_session_lost"]
    assert source.traffic.sessions_lost == len(warnings) == lost
    for entry in warnings:
        assert entry["log_level"] == "warning"
        assert "persistence" in entry["advice"]
