"""What is special to the hot path: both event loops, gathering, and packets that are malformed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import mqtt5
import pytest
from structlog.testing import capture_logs

from penstock import sandbox
from penstock.model import Message
from penstock.settings.tree import Mqtt
from tests.support.mqtt_client import publish
from tests.support.polling import until
from tests.support.recorder import Recorder, running

both_loops = pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"])
production_loop = pytest.mark.asyncio(loop_factories=["uvloop"])

CONNACK = mqtt5.ConnAckPacket().write()
SUBACK = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()


@both_loops
async def test_it_runs_on_either_event_loop(any_broker: sandbox.Broker, topic_prefix: str) -> None:
    recorder = Recorder(acknowledging=True)
    settings = Mqtt(url=any_broker.url, client_id=topic_prefix, reconnect_min_seconds=0.02)
    sent = [(f"{topic_prefix}/a", b"%d" % number) for number in range(1_000)]
    async with running(settings, [f"{topic_prefix}/#"], recorder) as source:
        await publish(any_broker.url, sent[:500])
        await until(lambda: len(recorder.received) >= 500, "the first half")
        await asyncio.to_thread(any_broker.restart)
        source.pause()
        await publish(any_broker.url, sent[500:])
        source.resume()
        await until(lambda: len(set(recorder.payloads())) == 1_000, "the second half")
        traffic = source.traffic
    # A broker that was ended before it read all acknowledgements delivers some messages again.
    received = recorder.payloads()
    assert list(dict.fromkeys(received)) == [payload for _, payload in sent]
    assert traffic.messages_received == traffic.acknowledgements_sent == len(received)
    assert (traffic.connections_accepted, traffic.connections_ended >= 1) == (2, True)


class Peer:
    """A broker that accepts everything, and sends what it is told to."""

    def __init__(self) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self.received: list[mqtt5.Packet] = []
        self.greeting = CONNACK
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        held = b""
        while data := await reader.read(65_536):
            held += data
            while held:
                packet, size = mqtt5.read(memoryview(held))
                held = held[size:]
                self.received.append(packet)
                if isinstance(packet, mqtt5.SubscribePacket):
                    writer.write(SUBACK)
                    self.connections.append(writer)
                elif isinstance(packet, mqtt5.DisconnectPacket):
                    writer.close()
        writer.close()


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    broker = Peer()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()


class CountingRecorder(Recorder):
    """Also remembers how the messages came."""

    def __init__(self) -> None:
        super().__init__(acknowledging=True)
        self.pieces: list[int] = []

    def accept(self, messages: Sequence[Message]) -> None:
        self.pieces.append(len(messages))
        super().accept(messages)


@production_loop
async def test_packets_that_come_one_by_one_are_gathered() -> None:
    recorder = CountingRecorder()
    async with peer() as broker:
        settings = Mqtt(url=f"mqtt://127.0.0.1:{broker.port}")
        async with running(settings, ["a"], recorder):
            for number in range(2_000):
                broker.connections[0].write(mqtt5.PublishPacket("a", b"%d" % number).write())
                await asyncio.sleep(0)  # in which each packet can be read by itself
            await until(lambda: len(recorder.received) >= 2_000, "all messages")
    assert recorder.payloads() == [b"%d" % number for number in range(2_000)]
    assert len(recorder.pieces) < 1_000


@production_loop
async def test_messages_that_come_with_connack_wait_while_paused() -> None:
    recorder = Recorder(acknowledging=True)
    async with peer() as broker:
        broker.greeting = CONNACK + mqtt5.PublishPacket("a", b"x").write()
        settings = Mqtt(url=f"mqtt://127.0.0.1:{broker.port}")
        async with running(settings, ["a"], recorder, subscribed=False, paused=True) as source:
            await until(lambda: broker.connections, "subscribed")
            await asyncio.sleep(0.05)  # in which a source that does not pause would deliver
            assert recorder.received == []
            source.resume()
            await until(lambda: recorder.received, "the message")
    assert recorder.payloads() == [b"x"]


@production_loop
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_topic_that_is_not_utf8_is_delivered_and_acknowledged() -> None:
    recorder = Recorder(acknowledging=True)
    async with peer() as broker:
        settings = Mqtt(url=f"mqtt://127.0.0.1:{broker.port}")
        async with running(settings, ["a"], recorder):
            broker.connections[0].write(b"\x32\x09\x00\x03a\xff/\x00\x07\x00x")
            await until(lambda: recorder.received, "the message")
        assert recorder.connections == [1]
        acknowledged = [p for p in broker.received if isinstance(p, mqtt5.PubAckPacket)]
    assert (recorder.received[0].topic, recorder.payloads()) == ("a\ufffd/", [b"x"])
    assert [packet.packet_id for packet in acknowledged] == [7]


@production_loop
async def test_a_malformed_packet_is_answered_and_the_connection_made_anew() -> None:
    recorder = Recorder()
    async with peer() as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        settings = Mqtt(url=url, reconnect_min_seconds=0.02, reconnect_max_seconds=0.1)
        async with running(settings, ["a"], recorder):
            broker.connections[0].write(b"\x00\x00")
            await until(lambda: len(broker.connections) >= 2, "another connection")
    (farewell, *_) = [p for p in broker.received if isinstance(p, mqtt5.DisconnectPacket)]
    assert int(farewell.reason_code) == 0x81


@production_loop
async def test_a_packet_identifier_of_0_is_named_and_the_connection_made_anew() -> None:
    recorder = Recorder(acknowledging=True)
    async with peer() as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        settings = Mqtt(url=url, reconnect_min_seconds=0.02, reconnect_max_seconds=0.1)
        with capture_logs() as logs:
            async with running(settings, ["a"], recorder):
                broker.connections[0].write(bytes.fromhex("3207 000161 0000 00 78"))
                await until(lambda: len(broker.connections) >= 2, "another connection")
    (farewell, *_) = [p for p in broker.received if isinstance(p, mqtt5.DisconnectPacket)]
    assert int(farewell.reason_code) == 0x82
    (ended, *_) = [entry for entry in logs if entry["event"] == "mqtt_disconnected"]
    assert "packet identifier 0" in ended["detail"]


@production_loop
async def test_an_acknowledgement_that_comes_too_late_to_be_sent_is_not_counted() -> None:
    recorder = Recorder(acknowledging=True)
    async with peer() as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        settings = Mqtt(url=url, reconnect_min_seconds=0.02, reconnect_max_seconds=0.1)
        async with running(settings, ["a"], recorder) as source:
            one = mqtt5.PublishPacket("a", b"x", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1).write()
            broker.connections[0].write(one)
            await until(lambda: source.traffic.acknowledgements_sent == 1, "acknowledged")
            broker.connections[0].write(one + b"\x00\x00")  # ends the session behind the message
            await until(lambda: len(broker.connections) >= 2, "another connection")
            assert source.traffic.messages_received == 2
            assert source.traffic.acknowledgements_sent == 1
    assert len([p for p in broker.received if isinstance(p, mqtt5.PubAckPacket)]) == 1
