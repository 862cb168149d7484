"""What every source owes to the stages above it, against a real broker."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from structlog.testing import capture_logs

from penstock import sandbox
from penstock.clock import SystemClock
from penstock.mqtt import make_source
from penstock.mqtt.source import Source
from penstock.settings.tree import Mqtt
from tests.support.mqtt_client import mqtt_client, publish
from tests.support.polling import until
from tests.support.recorder import Recorder, running
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

MakeSettings = Callable[..., Mqtt]


def numbered(prefix: str, count: int, start: int = 0) -> list[tuple[str, bytes]]:
    """Messages that can be told apart, over a few topics."""
    return [(f"{prefix}/{n % 3}/telemetry", b"%d" % n) for n in range(start, start + count)]


def is_subscribed(source: Source, connection: int) -> bool:
    """Whether a source has subscribed on its connection of this number."""
    status = source.status
    return (status.connection, status.state) == (connection, "subscribed")


def has(recorder: Recorder, count: int) -> bool:
    """Whether so many messages were received."""
    return len(recorder.received) >= count


def payloads(messages: Sequence[tuple[str, bytes]]) -> list[bytes]:
    return [payload for _, payload in messages]


@pytest.mark.parametrize("qos", [0, 1])
async def test_messages_come_in_the_order_in_which_they_were_published(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str, qos: int
) -> None:
    recorder = Recorder(acknowledging=True)
    sent = numbered(topic_prefix, 300)
    async with running(settings(), [f"{topic_prefix}/+/telemetry"], recorder):
        await publish(any_broker.url, sent, qos=qos)
        await until(lambda: len(recorder.received) >= 300, "all messages")
    assert [(one.topic, one.payload) for one in recorder.received] == sent
    assert {one.packet_id is None for one in recorder.received} == {qos == 0}
    assert recorder.connections == [1]


async def test_several_filters_are_subscribed_to(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    recorder = Recorder(acknowledging=True)
    filters = [f"{topic_prefix}/a/+", f"{topic_prefix}/b/#", f"{topic_prefix}/a/+"]
    topics = [f"{topic_prefix}/{rest}" for rest in ("a/1", "b/1/2", "b", "c/1", "a/1/2")]
    async with running(settings(), filters, recorder):
        await publish(any_broker.url, [(topic, b"x") for topic in topics])
        await publish(any_broker.url, [(f"{topic_prefix}/a/last", b"x")])
        await until(lambda: len(recorder.received) >= 4, "all messages")
    assert [one.topic for one in recorder.received] == [
        *topics[:3],
        f"{topic_prefix}/a/last",
    ]


async def test_a_large_message_comes_whole(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str, way: str
) -> None:
    recorder = Recorder(acknowledging=True)
    # Over WebSockets mosquitto sends a large message in pieces of 4 KiB, ten a second.
    payload = bytes(range(256)) * (64 if way == "websockets" else 4096)
    async with running(settings(), [f"{topic_prefix}/#"], recorder):
        await publish(any_broker.url, [(f"{topic_prefix}/a", payload)])
        await until(lambda: recorder.received, "the message")
    assert recorder.payloads() == [payload]


async def test_what_is_not_acknowledged_comes_again_and_what_is_acknowledged_does_not(
    settings: MakeSettings, any_broker: sandbox.Broker, url: str, topic_prefix: str
) -> None:
    recorder = Recorder()
    sent = numbered(topic_prefix, 15)
    filters = [f"{topic_prefix}/#"]
    with TcpProxy.before(url) as proxy:
        async with running(settings(url=proxy.through(url)), filters, recorder):
            await publish(any_broker.url, sent)
            await until(lambda: len(recorder.received) >= 15, "all messages")
            recorder.acknowledge(1, [one.packet_id for one in recorder.received[:10]])
            # The acknowledgements are at the broker when a later message has come back from it.
            await publish(any_broker.url, [(f"{topic_prefix}/marker", b"marker")])
            await until(lambda: len(recorder.received) >= 16, "the marker")
            proxy.cut()
            await until(lambda: len(recorder.payloads(2)) >= 6, "the rest again")
            recorder.acknowledge_all(2)
    assert recorder.payloads(2) == [*payloads(sent[10:]), b"marker"]


async def test_an_acknowledgement_for_an_old_connection_is_dropped(
    settings: MakeSettings, any_broker: sandbox.Broker, url: str, topic_prefix: str
) -> None:
    recorder = Recorder()
    sent = numbered(topic_prefix, 10)
    filters = [f"{topic_prefix}/#"]
    with TcpProxy.before(url) as proxy:
        async with running(settings(url=proxy.through(url)), filters, recorder) as source:
            await publish(any_broker.url, sent)
            await until(partial(has, recorder, 10), "all messages")
            proxy.cut()
            source.acknowledge(1, list(range(1, 200)))
            await until(partial(has, recorder, 20), "all messages again")
            source.acknowledge(1, list(range(1, 200)))
            # Had that been sent, the broker would have it when a later message has come back.
            await publish(any_broker.url, [(f"{topic_prefix}/marker", b"marker")])
            await until(partial(has, recorder, 21), "the marker")
            proxy.cut()
            await until(partial(has, recorder, 32), "all messages once more")
            recorder.acknowledge_all(3)
    assert recorder.payloads(3) == [*payloads(sent), b"marker"]


async def test_nothing_is_lost_when_the_broker_restarts(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    recorder = Recorder()
    sent = numbered(topic_prefix, 15)
    after = numbered(topic_prefix, 200, start=15)
    async with running(settings(), [f"{topic_prefix}/#"], recorder):
        await publish(any_broker.url, sent)
        await until(lambda: len(recorder.received) >= 15, "all messages")
        await asyncio.to_thread(any_broker.restart)
        await publish(any_broker.url, after[:100])
        await until(lambda: len(recorder.payloads(2)) >= 15, "the messages again")
        recorder.acknowledging = True
        recorder.acknowledge_all(2)
        await publish(any_broker.url, after[100:])
        await until(lambda: set(recorder.payloads(2)) >= set(payloads(after)), "later messages")
    assert recorder.payloads(2) == payloads(sent + after)


async def test_nothing_that_was_received_or_comes_later_is_lost_when_the_broker_is_killed(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    recorder = Recorder()
    sent = numbered(topic_prefix, 115)
    async with running(settings(), [f"{topic_prefix}/#"], recorder) as source:
        await publish(any_broker.url, sent[:15])
        await until(lambda: len(recorder.received) >= 15, "all messages")
        recorder.acknowledging = True
        await asyncio.to_thread(any_broker.kill)
        await asyncio.to_thread(any_broker.start)
        # The session may be as old as the broker's last save: it may have to be made anew.
        await until(lambda: is_subscribed(source, connection=2), "subscribed again")
        await publish(any_broker.url, sent[15:])
        await until(lambda: sent[-1][1] in recorder.payloads(2), "later messages")
    assert set(recorder.payloads()) == set(payloads(sent))


async def test_messages_that_waited_for_the_session_are_delivered(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    filters = [f"{topic_prefix}/#"]
    async with running(settings(), filters, Recorder()):
        pass
    sent = numbered(topic_prefix, 100)
    await publish(any_broker.url, sent)
    recorder = Recorder(acknowledging=True)
    async with running(settings(), filters, recorder):
        await until(lambda: len(recorder.received) >= 100, "all messages")
    assert recorder.payloads() == payloads(sent)


@pytest.mark.parametrize("qos", [0, 1])
async def test_nothing_is_delivered_while_paused_and_nothing_is_lost(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str, qos: int
) -> None:
    recorder = Recorder(acknowledging=True)
    sent = numbered(topic_prefix, 200)
    async with running(settings(), [f"{topic_prefix}/#"], recorder) as source:
        source.pause()
        await publish(any_broker.url, sent, qos=qos)
        await asyncio.sleep(0.2)  # in which a source that does not pause would deliver
        assert recorder.received == []
        source.resume()
        await until(lambda: len(recorder.received) >= 200, "all messages")
    assert recorder.payloads() == payloads(sent)


async def test_the_intake_may_pause_and_resume_at_any_moment(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    recorder = Recorder(acknowledging=True)
    paused = False

    def pause_for_a_moment() -> None:
        nonlocal paused
        assert not paused, "delivered while paused"
        assert recorder.source is not None
        recorder.source.pause()
        paused = True
        asyncio.get_running_loop().call_later(0.002, resume, recorder.source)

    def resume(source: Source) -> None:
        nonlocal paused
        paused = False
        source.resume()

    recorder.on_accept = pause_for_a_moment
    sent = numbered(topic_prefix, 150)
    async with running(settings(), [f"{topic_prefix}/#"], recorder):
        await publish(any_broker.url, sent)
        await until(lambda: len(recorder.received) >= 150, "all messages")
    assert recorder.payloads() == payloads(sent)


@pytest.mark.parametrize("way", ["tcp", "3.1.1"])
async def test_a_paused_source_holds_the_sender_back_at_qos_0(
    settings: MakeSettings, any_broker: sandbox.Broker, url: str, topic_prefix: str
) -> None:
    recorder = Recorder()
    large = [(f"{topic_prefix}/a", b"x" * 250_000)] * 200
    filters = [f"{topic_prefix}/#"]
    with TcpProxy.before(url) as proxy:
        async with running(settings(url=proxy.through(url)), filters, recorder) as source:
            source.pause()
            await publish(any_broker.url, large, qos=0)
            before = -1
            while proxy.bytes_to_client != before:
                before = proxy.bytes_to_client
                await asyncio.sleep(0.3)
            assert proxy.bytes_to_client < 25_000_000, "half of it is far more than sockets hold"
    assert recorder.received == []


@pytest.mark.parametrize("way", ["tcp", "3.1.1"])
async def test_a_source_that_is_paused_reconnects_and_waits_to_be_resumed(
    settings: MakeSettings, any_broker: sandbox.Broker, url: str, topic_prefix: str
) -> None:
    recorder = Recorder(acknowledging=True)
    sent = numbered(topic_prefix, 30)
    filters = [f"{topic_prefix}/#"]
    with TcpProxy.before(url) as proxy:
        async with running(
            settings(url=proxy.through(url), keepalive_seconds=2), filters, recorder
        ) as source:
            source.pause()
            await publish(any_broker.url, sent)
            proxy.cut()
            # Nobody reads, so it is the next ping that finds the connection broken.
            await until(lambda: recorder.connections == [1, 2], "a second connection")
            await asyncio.sleep(0.1)  # in which a source that does not pause would deliver
            assert recorder.received == []
            source.resume()
            await until(lambda: len(recorder.received) >= 30, "all messages")
    assert recorder.payloads() == payloads(sent)


async def test_shared_subscriptions_share(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    one, other = Recorder(acknowledging=True), Recorder(acknowledging=True)
    group = topic_prefix
    sent = numbered(topic_prefix, 100)
    filters = [f"{topic_prefix}/#"]
    async with (
        running(settings(share_group=group), filters, one),
        running(settings(share_group=group, client_id=f"{group}-2"), filters, other),
    ):
        await publish(any_broker.url, sent)
        await until(lambda: len(one.received) + len(other.received) >= 100, "all messages")
    assert sorted(one.payloads() + other.payloads()) == sorted(payloads(sent))
    assert one.received
    assert other.received


@pytest.mark.parametrize(
    ("retained", "first", "second"),
    [("never", False, False), ("new", True, False), ("always", True, True)],
)
async def test_retained_messages_come_as_configured(
    settings: MakeSettings,
    any_broker: sandbox.Broker,
    url: str,
    topic_prefix: str,
    retained: str,
    first: bool,
    second: bool,
) -> None:
    recorder = Recorder(acknowledging=True)
    await publish(any_broker.url, [(f"{topic_prefix}/old", b"old")], retain=True)
    filters = [f"{topic_prefix}/#"]
    with TcpProxy.before(url) as proxy:
        # At QoS 0, at which nothing comes again because its acknowledgement was cut off.
        wanted = settings(url=proxy.through(url), retained=retained, qos=0)
        async with running(wanted, filters, recorder) as source:
            for connection in (1, 2):
                await until(partial(is_subscribed, source, connection), "subscribed")
                await publish(any_broker.url, [(f"{topic_prefix}/marker", b"marker")])
                due = first + (connection - 1) * (1 + second)
                await until(partial(has, recorder, due + 1), "the marker")
                proxy.cut()
    assert recorder.payloads(1) == [b"old"] * first + [b"marker"]
    assert recorder.payloads(2) == [b"old"] * second + [b"marker"]


async def test_stopping_disconnects_in_good_order_after_what_was_acknowledged(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    recorder = Recorder()
    sent = numbered(topic_prefix, 18)
    filters = [f"{topic_prefix}/#"]
    async with running(settings(), filters, recorder) as source:
        await publish(any_broker.url, sent)
        await until(lambda: len(recorder.received) >= 18, "all messages")
        source.pause()  # as when the daemon drains: unread messages wait in the socket
        await publish(any_broker.url, numbered(topic_prefix, 100, start=18), qos=0)
        recorder.acknowledge_all(1)
        await source.stop()
        received = len(recorder.received)
    client_id = settings().client_id
    assert f"Client {client_id} disconnected.\n" in any_broker.log_path.read_text()
    assert len(recorder.received) == received == 18
    again = Recorder(acknowledging=True)
    async with running(settings(), filters, again):
        await publish(any_broker.url, [(f"{topic_prefix}/marker", b"marker")])
        await until(lambda: b"marker" in again.payloads(), "the marker")
    assert not set(again.payloads()) & set(payloads(sent))


async def test_nothing_is_delivered_after_stop_though_it_was_read_before(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    filters = [f"{topic_prefix}/#"]
    async with running(settings(), filters, Recorder()):
        pass
    sent = numbered(topic_prefix, 20)
    await publish(any_broker.url, sent)
    recorder = Recorder()
    async with running(settings(), filters, recorder, subscribed=False, paused=True) as source:
        await until(lambda: recorder.connections, "connected")
        await asyncio.sleep(0.1)  # in which a source may read what it does not hand on yet
        source.resume()
        await source.stop()
    assert recorder.received == []
    again = Recorder(acknowledging=True)
    async with running(settings(), filters, again):
        await until(partial(has, again, 20), "all messages")
    assert again.payloads() == payloads(sent)


async def test_stopping_while_the_broker_is_away_takes_no_time(
    settings: MakeSettings, any_broker: sandbox.Broker
) -> None:
    nowhere = sandbox.Broker(any_broker.folder / "never-started", websockets=True)
    absent = nowhere.websockets_url if "ws" in settings().url else nowhere.url
    async with running(
        settings(url=absent, reconnect_min_seconds=3600.0, reconnect_max_seconds=3600.0),
        ["a"],
        Recorder(),
        subscribed=False,
    ) as source:
        await until(lambda: "nothing listens" in source.status.detail, "the refusal named")
        assert source.status.state == "connecting"


async def test_an_error_of_the_intake_ends_the_run_and_the_message_comes_again(
    settings: MakeSettings, any_broker: sandbox.Broker, topic_prefix: str
) -> None:
    recorder, filters = Recorder(), [f"{topic_prefix}/#"]

    def fail() -> None:
        raise LookupError("a bug above the source")

    recorder.on_accept = fail
    source = recorder.source = make_source(settings(), filters, recorder, SystemClock())
    run = asyncio.create_task(source.run())
    await until(lambda: is_subscribed(source, connection=1), "subscribed")
    await publish(any_broker.url, [(f"{topic_prefix}/a", b"x")])
    with pytest.raises(LookupError, match="a bug above"):
        await run
    assert source.status.state == "stopped"
    again = Recorder(acknowledging=True)
    async with running(settings(), filters, again):
        await until(lambda: again.received, "the message")
    assert again.payloads() == [b"x"]


async def test_another_client_with_the_same_client_id_is_named(
    settings: MakeSettings, any_broker: sandbox.Broker, way: str
) -> None:
    recorder = Recorder()
    expected = "connection_lost_repeatedly" if way == "3.1.1" else "client_id_contested"
    with capture_logs() as logs:
        async with running(settings(), ["a"], recorder) as source:
            for connection in (1, 2):
                await until(partial(is_subscribed, source, connection), "subscribed")
                async with mqtt_client(any_broker.url, client_id=settings().client_id):
                    await until(lambda: source.status.state == "connecting", "taken over")
            await until(lambda: len(recorder.connections) == 3, "a third connection")
            assert source.traffic.sessions_lost == 2, "both started clean"
    reasons = [entry["reason"] for entry in logs if entry["event"] == "mqtt_disconnected"]
    assert reasons[1] == expected
    (text,) = [entry["detail"] for entry in logs if entry.get("reason") == expected]
    assert "another client uses the same client id" in text
    assert settings().client_id in text


@pytest.mark.parametrize("way", ["tcp", "3.1.1"])
async def test_pings_keep_an_idle_connection(
    settings: MakeSettings, any_broker: sandbox.Broker, way: str
) -> None:
    # The broker hangs up after one and a half keepalives without a packet (MQTT 5 §3.1.2.10).
    keepalive_seconds = 1 if way == "tcp" else 2
    idle, paused = Recorder(), Recorder()
    quiet = {"keepalive_seconds": keepalive_seconds}
    async with (
        running(settings(**quiet), ["a"], idle),
        running(settings(**quiet, client_id=f"{settings().client_id}-2"), ["a"], paused) as other,
    ):
        other.pause()
        await asyncio.sleep(keepalive_seconds * 2.75)
        other.resume()
        await publish(any_broker.url, [("a", b"x")])
        await until(lambda: idle.received and paused.received, "the message")
    assert idle.connections == paused.connections == [1]
