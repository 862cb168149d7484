"""Getting in: TLS, certificates, passwords; and being told why not, while trying on."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mqtt5
import pytest
from msgspec.structs import replace

from penstock import sandbox
from penstock.sandbox.endpoints import MQTT_VARIABLE
from penstock.settings.secret import Secret
from penstock.settings.tree import Mqtt, Tls
from tests.support.polling import until
from tests.support.recorder import Recorder, running
from tests.support.tcp_proxy import TcpProxy

pytestmark = [
    pytest.mark.asyncio(loop_factories=["uvloop"]),
    # paho leaves the socket of a failed handshake to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def certificates(scratch: Path) -> sandbox.Certificates:
    return sandbox.make_certificates(scratch / "mqtt-certificates")


@pytest.fixture(scope="module")
def guarded_broker(scratch: Path, certificates: sandbox.Certificates) -> Iterator[sandbox.Broker]:
    """A broker that wants a password, and by TLS a client certificate as well."""
    if os.environ.get(MQTT_VARIABLE):
        pytest.skip(f"needs a broker of its own, and {MQTT_VARIABLE} names another")
    with sandbox.Broker(
        scratch / "mqtt-guarded",
        certificates=certificates,
        require_certificate=True,
        users={"penstock": "open sesame"},
    ) as broker:
        yield broker


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def access(
    protocol: str, guarded_broker: sandbox.Broker, certificates: sandbox.Certificates
) -> Callable[..., Mqtt]:
    """Settings that the guarded broker lets in by TLS, but for the changes."""
    trusted = Tls(
        ca_file=str(certificates.authority),
        cert_file=str(certificates.client),
        key_file=str(certificates.client_key),
    )
    let_in = Mqtt(
        url=guarded_broker.tls_url,
        protocol="3.1.1" if protocol == "3.1.1" else "5",
        client_id=f"access-{secrets.token_hex(6)}",
        username="penstock",
        password=Secret("open sesame"),
        reconnect_min_seconds=0.02,
        reconnect_max_seconds=0.2,
        connect_timeout_seconds=5.0,
    )

    def make(*, tls: dict[str, object] | None = None, **changes: object) -> Mqtt:
        return replace(let_in, tls=replace(trusted, **(tls or {})), **changes)

    return make


async def detail_of(settings: Mqtt) -> str:
    """What a source says after its second failure to get in: it goes on trying."""
    recorder = Recorder()

    async with running(settings, ["a"], recorder, subscribed=False) as source:
        await until(lambda: source.traffic.connections_ended >= 2, "two failures")
        status = source.status
    assert status.state == "connecting"
    assert recorder.connections == []
    return status.detail


async def test_a_client_certificate_and_a_password_open_the_door(
    access: Callable[..., Mqtt], topic_prefix: str
) -> None:
    recorder = Recorder(acknowledging=True)
    async with running(access(), [f"{topic_prefix}/#"], recorder) as source:
        assert source.status.detail == ""


async def test_a_host_name_that_the_certificate_lacks_is_named(
    access: Callable[..., Mqtt], guarded_broker: sandbox.Broker
) -> None:
    with TcpProxy.before(guarded_broker.tls_url, listen_on="127.0.0.2") as proxy:
        detail = await detail_of(access(url=proxy.through(guarded_broker.tls_url)))
    assert "mqtt.url names the host as the certificate does" in detail


async def test_a_host_name_that_the_certificate_lacks_can_be_allowed(
    access: Callable[..., Mqtt], guarded_broker: sandbox.Broker
) -> None:
    with TcpProxy.before(guarded_broker.tls_url, listen_on="127.0.0.2") as proxy:
        url = proxy.through(guarded_broker.tls_url)
        trusting = access(url=url, tls={"verify_hostname": False})
        async with running(trusting, ["a"], Recorder()):
            pass


async def test_an_authority_that_is_not_trusted_is_named(access: Callable[..., Mqtt]) -> None:
    detail = await detail_of(access(tls={"ca_file": None}))
    assert "is not trusted" in detail
    assert "mqtt.tls.ca_file" in detail


async def test_a_missing_client_certificate_is_named(access: Callable[..., Mqtt]) -> None:
    detail = await detail_of(access(tls={"cert_file": None, "key_file": None}))
    assert "certificate" in detail


async def test_a_client_certificate_that_is_replaced_serves_the_next_attempt(
    access: Callable[..., Mqtt], certificates: sandbox.Certificates, tmp_path: Path
) -> None:
    stranger = sandbox.make_certificates(tmp_path / "stranger")
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    shutil.copy(stranger.client, cert)
    shutil.copy(stranger.client_key, key)
    settings = access(tls={"cert_file": str(cert), "key_file": str(key)})
    async with running(settings, ["a"], Recorder(), subscribed=False) as source:
        await until(lambda: source.traffic.connections_ended >= 1, "the stranger refused")
        cert.write_text("half a certif")
        await until(lambda: f"mqtt.tls.cert_file {cert}" in source.status.detail, "the file named")
        shutil.copy(certificates.client, cert)
        shutil.copy(certificates.client_key, key)
        await until(lambda: source.status.state == "subscribed", "let in")


async def test_plain_mqtt_to_a_tls_listener_is_named(
    access: Callable[..., Mqtt], guarded_broker: sandbox.Broker
) -> None:
    detail = await detail_of(access(url=f"mqtt://127.0.0.1:{guarded_broker.tls_port}"))
    assert "TLS" in detail


async def test_tls_to_a_plain_listener_is_named(
    access: Callable[..., Mqtt], guarded_broker: sandbox.Broker
) -> None:
    detail = await detail_of(
        access(url=f"mqtts://localhost:{guarded_broker.port}", connect_timeout_seconds=0.5)
    )
    assert "TLS" in detail


@pytest.mark.parametrize("password", [Secret("wrong"), None])
async def test_a_wrong_or_missing_password_is_named(
    access: Callable[..., Mqtt], guarded_broker: sandbox.Broker, password: Secret | None
) -> None:
    changes = {"password": password} if password else {"password": None, "username": None}
    detail = await detail_of(access(url=guarded_broker.url, **changes))
    assert "mqtt.password" in detail
    assert "wrong" not in detail


async def test_a_broker_that_starts_later_is_found(scratch: Path, protocol: str) -> None:
    late = sandbox.Broker(scratch / f"mqtt-late-{protocol}")
    settings = Mqtt(
        url=late.url,
        protocol="3.1.1" if protocol == "3.1.1" else "5",
        reconnect_min_seconds=0.02,
        reconnect_max_seconds=0.2,
    )
    recorder = Recorder()
    async with running(settings, ["a"], recorder, subscribed=False) as source:
        await until(lambda: "nothing listens" in source.status.detail, "the refusal named")
        await asyncio.to_thread(late.start)
        try:
            await until(lambda: source.status.state == "subscribed", "subscribed")
            assert source.status.detail == ""
        finally:
            await asyncio.to_thread(late.stop)


async def answered_with(answer: bytes | None, **changes: object) -> str:
    """What a source says of a peer that answers CONNECT so, and hangs up unless that is None."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        settings = Mqtt(
            url=f"mqtt://127.0.0.1:{port}", reconnect_min_seconds=0.02, reconnect_max_seconds=0.1
        )
        return await detail_of(replace(settings, **changes))
    finally:
        server.close()


@pytest.mark.parametrize("answer", [bytes.fromhex("20020001"), bytes.fromhex("2003008400")])
async def test_a_broker_of_the_older_protocol_is_named_with_the_setting(answer: bytes) -> None:
    assert 'set mqtt.protocol to "3.1.1"' in await answered_with(answer)


async def test_a_peer_that_hangs_up_is_named(protocol: str) -> None:
    detail = await answered_with(b"", protocol=protocol)
    assert "closed the connection without an answer" in detail


async def test_a_peer_that_is_no_broker_is_named(protocol: str) -> None:
    detail = await answered_with(b"HTTP/1.1 400 Bad Request\r\n\r\n", protocol=protocol)
    assert "mqtt.url" in detail


async def test_an_answer_to_no_question_of_ours_is_named() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bytes.fromhex("20020000 9003000901"))  # CONNACK, and a SUBACK of 3.1.1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Mqtt(url=f"mqtt://127.0.0.1:{port}", protocol="3.1.1", reconnect_min_seconds=0.02)
    try:
        async with running(settings, ["a"], Recorder(), subscribed=False) as source:
            await until(lambda: "answers no SUBSCRIBE" in source.status.detail, "the fault named")
    finally:
        server.close()


async def test_a_silent_peer_is_left_in_time(protocol: str) -> None:
    detail = await answered_with(None, protocol=protocol, connect_timeout_seconds=0.1)
    assert "no answer" in detail


async def test_a_broker_that_is_busy_is_named() -> None:
    busy = mqtt5.ConnAckPacket(
        reason_code=mqtt5.ConnAckReasonCode.SERVER_BUSY, reason_str="come back later"
    ).write()
    assert "come back later" in await answered_with(busy)


async def test_a_listener_without_websockets_is_named(guarded_broker: sandbox.Broker) -> None:
    detail = await detail_of(
        Mqtt(
            url=f"ws://127.0.0.1:{guarded_broker.port}",
            reconnect_min_seconds=0.02,
            connect_timeout_seconds=0.5,
        )
    )
    assert "mqtt.url" in detail
