"""What a recording asks of its session with the broker, and what it leaves there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import mqtt5
import pytest

from penstock.settings.tree import Mqtt
from penstock_simulator.capture import forgetting
from penstock_simulator.capture.access import Access, recording_session
from penstock_simulator.capture.recording import Recorded, Recorder, RecordError
from tests.support.mqtt_client import has_session, mqtt_client
from tests.support.polling import until
from tests.support.renaming_broker import renaming_broker
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def session_with(url: str, *, protocol: str = "5") -> Mqtt:
    return recording_session(Access(url), protocol=protocol, retained=False)


class Recording:
    """A recording that goes on by itself."""

    def __init__(self, session: Mqtt, topic: str, path: Path) -> None:
        self.told: list[str] = []
        self.recorder = Recorder(session, [topic], path)
        self.task = asyncio.create_task(self.recorder.run(self.told.append))

    async def subscribed(self) -> None:
        await until(lambda: self.task.done() or self.recorder._subscribed, "subscribed")

    async def ended(self) -> Recorded:
        self.recorder._end.set()
        return await self.task


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_broker_is_left_without_the_session(
    mqtt_url: str, topic_prefix: str, tmp_path: Path, protocol: str
) -> None:
    session = session_with(mqtt_url, protocol=protocol)
    recording = Recording(session, topic_prefix, tmp_path / "capture")
    await recording.subscribed()
    await recording.ended()
    assert not await has_session(mqtt_url, session.client_id)
    assert recording.told == []


async def test_a_session_that_could_not_be_ended_is_told(
    mqtt_url: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "_ANSWER_SECONDS", 0.1)
    with TcpProxy.before(mqtt_url) as proxy:
        session = session_with(proxy.through(mqtt_url))
        recording = Recording(session, topic_prefix, tmp_path / "capture")
        await recording.subscribed()
    await recording.ended()
    assert len(recording.told) == 1
    assert session.client_id in recording.told[0]
    assert await has_session(mqtt_url, session.client_id)


async def test_a_session_that_the_broker_lost_is_counted(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    with TcpProxy.before(mqtt_url) as proxy:
        session = session_with(proxy.through(mqtt_url))
        recording = Recording(session, topic_prefix, tmp_path / "capture")
        await recording.subscribed()
        # A clean start under its client id ends its session, and the connection with it.
        async with mqtt_client(mqtt_url, client_id=session.client_id):
            pass
        source = recording.recorder._source
        await until(lambda: source.traffic.connections_accepted == 2, "connected again")
        recorded = await recording.ended()
    assert (recorded.connections_lost, recorded.sessions_lost) == (1, 1)


@asynccontextmanager
async def a_broker_that_grants(*codes: mqtt5.SubAckReasonCode) -> AsyncIterator[str]:
    """The URL of a peer that lets everybody in and answers the first SUBSCRIBE so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        while data := await reader.read(65_536):
            held += data
            while held:
                packet, size = mqtt5.read(memoryview(held))
                held = held[size:]
                if isinstance(packet, mqtt5.ConnectPacket):
                    writer.write(mqtt5.ConnAckPacket().write())
                elif isinstance(packet, mqtt5.SubscribePacket):
                    writer.write(mqtt5.SubAckPacket(packet.packet_id, list(codes)).write())
                    # A filter that is granted brings a message, so that there is something to lose.
                    writer.write(mqtt5.PublishPacket("granted/topic", b"1").write())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_filter_that_is_refused_ends_it_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    granted = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
    async with a_broker_that_grants(granted, mqtt5.SubAckReasonCode.NOT_AUTHORIZED) as url:
        recorder = Recorder(session_with(url), ["granted/#", "secret/#"], path, seconds=1.0)
        with pytest.raises(RecordError, match="secret/#"):
            await recorder.run(lambda _: None)
    assert not path.exists()


async def test_one_that_is_ended_before_the_broker_answers_says_so(tmp_path: Path) -> None:
    path, accepted = tmp_path / "capture", asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        recording = Recording(session_with(f"mqtt://127.0.0.1:{port}"), "#", path)
        await until(accepted.is_set, "a connection")
        with pytest.raises(RecordError, match="before the broker had answered"):
            await recording.ended()
    finally:
        server.close()
    assert not path.exists()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_session_of_somebody_elses_is_left_to_him(
    scratch: Path, topic_prefix: str, tmp_path: Path, protocol: str
) -> None:
    with renaming_broker(scratch / topic_prefix, {"penstock": "word"}) as broker:
        url = broker.url.replace("//", "//penstock:word@")
        theirs = Recording(session_with(url, protocol=protocol), "#", tmp_path / "theirs")
        await theirs.subscribed()
        ours = Recording(session_with(url, protocol=protocol), "#", tmp_path / "ours")
        with pytest.raises(RecordError, match="use_username_as_clientid"):
            await ours.task
        source = theirs.recorder._source
        await until(lambda: source.traffic.connections_accepted == 2, "connected again")
        assert (await theirs.ended()).sessions_lost == 0
    assert not (tmp_path / "ours").exists()
