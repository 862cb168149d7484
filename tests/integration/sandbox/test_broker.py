"""The private broker does what the tests of everything else rely on."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from penstock.sandbox import Broker, SandboxError, make_certificates, programs
from penstock.sandbox.ports import LOOPBACK

CONNECT = bytes.fromhex("100d 0004 4d515454 05 02 000a 00 0000")
CONNACK = b"\x20"
SAVE_AT_ONCE = ("autosave_on_changes true", "autosave_interval 1")


def client(url: str, **settings: object) -> aiomqtt.Client:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return aiomqtt.Client(
        address.hostname,
        address.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        transport="websockets" if address.scheme == "ws" else "tcp",
        **settings,  # type: ignore[arg-type]  # checked where it is called
    )


def keeping_session(broker: Broker) -> aiomqtt.Client:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 3600
    return client(broker.url, identifier="keeper", clean_start=False, properties=properties)


async def subscribe(broker: Broker) -> None:
    async with keeping_session(broker) as keeper:
        await keeper.subscribe("kept/#", qos=1)


async def publish(broker: Broker, payload: str) -> None:
    async with client(broker.url) as publisher:
        await publisher.publish("kept/message", payload, qos=1)


async def queued(broker: Broker, *, until: str) -> list[str]:
    """What the broker kept for the session, up to the message `until`, which this publishes."""
    received = []
    async with keeping_session(broker) as keeper:
        await keeper.subscribe("kept/#", qos=1)
        await publish(broker, until)
        async for message in keeper.messages:
            assert isinstance(message.payload, bytes)
            received.append(message.payload.decode())
            if received[-1] == until:
                return received
    raise AssertionError("the connection ended first")


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill])
async def test_a_durable_broker_keeps_sessions_and_queues_over_a_restart(
    folder: Path, end: Callable[[Broker], None]
) -> None:
    with Broker(folder / "b", lines=SAVE_AT_ONCE) as broker:
        await subscribe(broker)
        await publish(broker, "kept")
        await publish(broker, "saves the one before it at the latest")
        port = broker.port
        end(broker)
        assert not broker.running
        broker.start()
        assert broker.port == port
        assert (await queued(broker, until="last"))[0] == "kept"


async def test_the_shipped_configuration_keeps_queues_over_a_restart(folder: Path) -> None:
    more_than_mosquitto_keeps_by_default = 1_100
    with Broker(folder / "b") as broker:
        await subscribe(broker)
        async with client(broker.url) as publisher:
            for number in range(more_than_mosquitto_keeps_by_default):
                await publisher.publish("kept/message", str(number), qos=1)
        broker.restart()
        received = await queued(broker, until="last")
        assert len(received) == more_than_mosquitto_keeps_by_default + 1


async def test_a_broker_that_is_not_durable_forgets_over_a_restart(folder: Path) -> None:
    with Broker(folder / "b", durable=False) as broker:
        await subscribe(broker)
        await publish(broker, "kept")
        broker.restart()
        assert await queued(broker, until="last") == ["last"]


async def test_websockets_reach_the_same_broker(folder: Path) -> None:
    with Broker(folder / "b", websockets=True) as broker:
        async with client(broker.websockets_url) as listener:
            await listener.subscribe("kept/#", qos=1)
            await publish(broker, "through")
            message = await anext(listener.messages)
            assert message.payload == b"through"


def test_tls_lets_in_whom_the_authority_signed(folder: Path) -> None:
    certificates = make_certificates(folder / "tls")
    context = ssl.create_default_context(cafile=str(certificates.authority))
    with Broker(folder / "b", certificates=certificates, require_certificate=True) as broker:
        assert answer_by_tls(broker, context) == b""
        context.load_cert_chain(certificates.client, certificates.client_key)
        assert answer_by_tls(broker, context) == CONNACK


def test_tls_needs_no_client_certificate_by_default(folder: Path) -> None:
    certificates = make_certificates(folder / "tls")
    with Broker(folder / "b", certificates=certificates) as broker:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        assert answer_by_tls(broker, context) == CONNACK
        with pytest.raises(ssl.SSLCertVerificationError):
            answer_by_tls(broker, ssl.create_default_context())


def answer_by_tls(broker: Broker, context: ssl.SSLContext) -> bytes:
    """The first byte that the broker answers, or nothing when it ends the connection."""
    with (
        socket.create_connection((LOOPBACK, broker.tls_port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        # In TLS 1.3 the server judges the client's certificate after the client's handshake.
        try:
            connection.sendall(CONNECT)
            return connection.recv(1)
        except (ssl.SSLError, ConnectionError):
            return b""


async def test_named_users_are_let_in_and_nobody_else(folder: Path) -> None:
    with Broker(folder / "b", users={"penstock": "right"}) as broker:
        async with client(broker.url, username="penstock", password="right"):
            pass
        for refused in ({}, {"username": "penstock", "password": "wrong"}):
            with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
                async with client(broker.url, **refused):
                    pass


def test_a_broker_that_does_not_start_shows_its_log(folder: Path) -> None:
    broker = Broker(folder / "b", lines=["no_such_setting true"])
    with pytest.raises(SandboxError, match="no_such_setting"):
        broker.start()
    assert not broker.running


def test_two_starts_are_a_mistake(folder: Path) -> None:
    with Broker(folder / "b") as broker, pytest.raises(SandboxError, match="running already"):
        broker.start()


def test_urls_of_listeners_that_were_not_asked_for_are_a_mistake(folder: Path) -> None:
    broker = Broker(folder / "b")
    with pytest.raises(SandboxError, match="without WebSockets"):
        _ = broker.websockets_url
    with pytest.raises(SandboxError, match="without certificates"):
        _ = broker.tls_url


def test_a_missing_mosquitto_is_named_with_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(programs, "_SERVER_FOLDERS", ())
    with pytest.raises(SandboxError, match="mosquitto was not found: run `make setup`"):
        Broker(folder / "b").start()


def test_a_mosquitto_that_loses_sessions_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = folder / "mosquitto"
    old.write_text("#!/bin/sh\necho mosquitto version 2.0.11\nexit 3\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    with pytest.raises(SandboxError, match=r"older than mosquitto 2\.0\.21"):
        Broker(folder / "b").start()
