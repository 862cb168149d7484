"""What is recorded from a real broker and published again to it is what was published first."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock import sandbox
from penstock.sandbox.endpoints import MQTT_VARIABLE
from penstock.sandbox.ports import free_port
from penstock_simulator.capture.access import Access, recording_session
from penstock_simulator.capture.message import Captured
from penstock_simulator.capture.pacing import at_once, at_rate
from penstock_simulator.capture.prepared import prepare
from penstock_simulator.capture.reading import CaptureReader
from penstock_simulator.capture.recording import Recorder, RecordError
from penstock_simulator.capture.replaying import Replayer
from penstock_simulator.connection import PublishError
from tests.support.mqtt_client import mqtt_client
from tests.support.polling import until
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

USER, PASSWORD = "penstock", "open s/s@m"


@pytest.fixture(scope="module")
def certificates(scratch: Path) -> sandbox.Certificates:
    return sandbox.make_certificates(scratch / "capture-certificates")


@pytest.fixture(scope="module")
def guarded_broker(scratch: Path, certificates: sandbox.Certificates) -> Iterator[sandbox.Broker]:
    """A broker that wants a password, and listens with TLS as well."""
    if os.environ.get(MQTT_VARIABLE):
        pytest.skip(f"needs a broker of its own, and {MQTT_VARIABLE} names another")
    with sandbox.Broker(
        scratch / "capture-guarded", certificates=certificates, users={USER: PASSWORD}
    ) as broker:
        yield broker


@asynccontextmanager
async def recording(
    access: Access, prefix: str, path: Path, count: int, *, protocol: str = "5"
) -> AsyncIterator[Recorder]:
    """Record so many messages, which the context has to bring about."""
    recorder = Recorder(
        recording_session(access, protocol=protocol, retained=False),
        [f"{prefix}/#"],
        path,
        most_messages=count,
    )
    task = asyncio.create_task(recorder.run(lambda _: None))
    try:
        await until(
            lambda: task.done() or recorder._source.status.state == "subscribed", "subscribed"
        )
        yield recorder
        await until(task.done, "the end of the recording")
        assert task.result().messages == count
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def captured_in(path: Path) -> list[Captured]:
    reader = CaptureReader(path)
    messages = list(reader.messages())
    assert not reader.truncated
    return messages


def payloads_in(path: Path) -> set[bytes]:
    """The different payloads that are in a capture already."""
    return {message.payload for message in CaptureReader(path).messages()}


def without_times(messages: Sequence[Captured]) -> dict[tuple[str, int], list[object]]:
    """All that is to be the same, in the order that MQTT keeps."""
    found: dict[tuple[str, int], list[object]] = {}
    for m in messages:
        rest = (m.payload, m.retain, m.content_type, m.response_topic, m.correlation_data)
        found.setdefault((m.topic, m.qos), []).append((*rest, m.user_properties))
    return found


def messages_under(prefix: str, count: int) -> list[Captured]:
    """Messages of both QoS, some of them binary, some with properties."""
    return [
        Captured(
            at_us=number * 100,
            topic=f"{prefix}/{number % 7}/ä",
            text=None if number % 3 == 0 else f'{{"number": {number}}}',
            base64=bytes([255, number % 256]) * (number % 50) if number % 3 == 0 else None,
            qos=1 if number % 5 else 0,
            content_type="application/json" if number % 2 else None,
            response_topic="answers" if number % 11 == 0 else None,
            correlation_data=b"\xff\0" if number % 13 == 0 else None,
            user_properties=[("unit", "°C"), ("unit", "K")] if number % 4 == 0 else [],
        )
        for number in range(count)
    ]


async def replay(url: str, messages: Sequence[Captured], **options: object) -> Replayer:
    prepared = prepare(messages, connections=3)
    replayer = Replayer(url, prepared, at_rate(len(messages), 5_000), **options)  # type: ignore[arg-type]
    await replayer.run(asyncio.Event())
    assert replayer.published == len(messages)
    assert replayer.acknowledged == sum(message.qos for message in messages)
    return replayer


async def test_every_byte_comes_back_in_order(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    sent = messages_under(topic_prefix, 500)
    first, second = tmp_path / "first", tmp_path / "second"
    async with recording(Access(mqtt_url), topic_prefix, first, len(sent)):
        await replay(mqtt_url, sent)
    assert without_times(captured_in(first)) == without_times(sent)
    async with recording(Access(mqtt_url), topic_prefix, second, len(sent)):
        await replay(mqtt_url, captured_in(first))
    assert without_times(captured_in(second)) == without_times(sent)
    times = [message.at_us for message in captured_in(second)]
    assert times == sorted(times)


async def test_messages_of_others_are_recorded_through_either_protocol(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    sent = [(f"{topic_prefix}/{n % 3}", bytes([n, 255])) for n in range(200)]
    for protocol in ("5", "3.1.1"):
        path = tmp_path / protocol
        async with (
            recording(Access(mqtt_url), topic_prefix, path, 200, protocol=protocol),
            mqtt_client(mqtt_url) as client,
        ):
            await client.publish(sent)
        assert [(m.topic, m.payload) for m in captured_in(path)] == sent


async def test_tls_and_a_password_let_in_and_leave_no_trace(
    guarded_broker: sandbox.Broker,
    certificates: sandbox.Certificates,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    login = f"{USER}:open%20s%2Fs%40m@"
    url = guarded_broker.tls_url.replace("://", f"://{login}")
    access = Access(url, certificates.authority)
    path, sent = tmp_path / "capture", messages_under(topic_prefix, 20)
    async with recording(access, topic_prefix, path, len(sent)):
        await replay(url, sent, trust=access.trust())
    messages = captured_in(path)
    assert without_times(messages) == without_times(sent)
    header = CaptureReader(path).header
    assert header.filters == [f"{topic_prefix}/#"]
    assert PASSWORD not in repr((header, messages))
    assert str(guarded_broker.tls_port) not in repr(header)


async def test_nothing_is_lost_when_the_connection_is_cut(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    path, count = tmp_path / "capture", 3_000
    sent = [(topic_prefix, str(number).encode()) for number in range(count)]
    with TcpProxy.before(mqtt_url) as proxy:
        access = Access(proxy.through(mqtt_url))
        recorder = Recorder(
            recording_session(access, protocol="5", retained=False), [topic_prefix], path
        )
        task = asyncio.create_task(recorder.run(lambda _: None))
        await until(lambda: recorder._source.status.state == "subscribed", "subscribed")
        async with mqtt_client(mqtt_url) as client:
            await client.publish(sent[: count // 2])
            proxy.cut()
            await client.publish(sent[count // 2 :])
        await until(lambda: len(payloads_in(path)) == count, "all of it recorded")
        recorder._end.set()
        assert (await task).connections_lost > 0
    assert payloads_in(path) == {payload for _, payload in sent}


async def test_what_a_lost_connection_took_with_it_is_published_again(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    sent = [
        Captured(at_us=0, topic=topic_prefix, text=str(number), qos=1) for number in range(20_000)
    ]
    path = tmp_path / "capture"
    with TcpProxy.before(mqtt_url) as proxy:
        proxy.bytes_left = 300_000
        recorder = Recorder(
            recording_session(Access(mqtt_url), protocol="5", retained=False),
            [topic_prefix],
            path,
        )
        task = asyncio.create_task(recorder.run(lambda _: None))
        await until(lambda: recorder._source.status.state == "subscribed", "subscribed")
        prepared = prepare(sent, connections=1)
        replayer = Replayer(proxy.through(mqtt_url), prepared, at_once(len(sent)))
        await replayer.run(asyncio.Event())
        assert replayer.reconnects > 0
        assert replayer.acknowledged == len(sent)
        await until(lambda: len(payloads_in(path)) == len(sent), "all of it recorded")
        recorder._end.set()
        await task
    numbers = [int(message.payload) for message in captured_in(path)]
    assert sorted(set(numbers)) == list(range(len(sent)))
    # First deliveries come in order; only what was sent again comes twice.
    assert list(dict.fromkeys(numbers)) == sorted(set(numbers))


async def test_a_broker_that_is_not_there_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    access, path = Access(f"mqtt://127.0.0.1:{free_port()}"), tmp_path / "capture"
    recorder = Recorder(recording_session(access, protocol="5", retained=False), ["#"], path)
    with pytest.raises(RecordError, match="refuse"):
        await recorder.run(lambda _: None)
    assert not path.exists()


async def test_a_filter_that_is_none_is_told_and_leaves_no_file(
    mqtt_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    session, path = (
        recording_session(Access(mqtt_url), protocol="5", retained=False),
        tmp_path / "capture",
    )
    with pytest.raises(RecordError):
        await Recorder(session, [f"{topic_prefix}/#/x"], path).run(lambda _: None)
    assert not path.exists()


async def test_a_password_that_is_wrong_is_told(
    guarded_broker: sandbox.Broker, tmp_path: Path
) -> None:
    url = guarded_broker.url.replace("://", f"://{USER}:{secrets.token_hex(4)}@")
    session = recording_session(Access(url), protocol="5", retained=False)
    with pytest.raises(RecordError):
        await Recorder(session, ["#"], tmp_path / "capture").run(lambda _: None)
    prepared = prepare(messages_under("x", 3), connections=1)
    with pytest.raises(PublishError, match="refused"):
        await Replayer(url, prepared, at_once(3)).run(asyncio.Event())
