"""What the doctor learns of real brokers, and that it leaves no trace in them."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock import sandbox
from penstock.cli.doctor.broker import BrokerFacts, judge_broker
from penstock.cli.doctor.broker_facts import broker_facts
from penstock.cli.doctor.finding import Level
from penstock.sandbox.endpoints import MQTT_VARIABLE
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.settings.secret import Secret
from penstock.settings.tree import Mqtt, Route, Settings, Tls
from tests.support.mqtt_client import mqtt_client
from tests.support.polling import until
from tests.support.recorder import Recorder, running
from tests.support.renaming_broker import renaming_broker

pytestmark = [
    # paho leaves the socket of a failed handshake to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning"),
]

USER, PASSWORD = "penstock", "open sesame"
PUBLISHER = "acme"
ALL_WAYS = ("tcp", "3.1.1", "websockets")


def skip_unless_private() -> None:
    if os.environ.get(MQTT_VARIABLE):
        pytest.skip(f"needs a broker of its own, and {MQTT_VARIABLE} names another")


@pytest.fixture(scope="module")
def shipped(scratch: Path) -> Iterator[sandbox.Broker]:
    """A broker as we configure it, which may be restarted."""
    skip_unless_private()
    with sandbox.Broker(scratch / "doctor-shipped", websockets=True) as broker:
        yield broker


@pytest.fixture(scope="module")
def limited_url(scratch: Path) -> Iterator[str]:
    """A broker that grants little, at a listener that grants QoS 0 only."""
    skip_unless_private()
    port = free_port()
    lines = [
        "max_inflight_messages 20",
        "max_keepalive 20",
        f"listener {port} {LOOPBACK}",
        "max_qos 0",
    ]
    with sandbox.Broker(scratch / "doctor-limited", lines=lines):
        yield f"mqtt://{LOOPBACK}:{port}"


@pytest.fixture(scope="module")
def guarded(scratch: Path) -> Iterator[sandbox.Broker]:
    """A broker that wants a password."""
    skip_unless_private()
    with sandbox.Broker(
        scratch / "doctor-guarded", websockets=True, users={USER: PASSWORD}
    ) as broker:
        yield broker


@pytest.fixture(scope="module")
def renaming(scratch: Path) -> Iterator[sandbox.Broker]:
    """A broker that takes the user name for the client id."""
    skip_unless_private()
    users = {USER: PASSWORD, PUBLISHER: "word"}
    with renaming_broker(scratch / "doctor-renaming", users) as broker:
        yield broker


def access(broker: sandbox.Broker, way: str, **changes: object) -> Mqtt:
    url = broker.websockets_url if way == "websockets" else broker.url
    settings = speaking("3.1.1" if way == "3.1.1" else "5", url)
    return replace(settings, client_id=f"daemon-{secrets.token_hex(4)}", **changes)


def speaking(protocol: str, url: str) -> Mqtt:
    return Mqtt(url=url, protocol="3.1.1" if protocol == "3.1.1" else "5")


async def levels(settings: Settings) -> tuple[BrokerFacts, dict[str, Level]]:
    facts = await broker_facts(settings)
    return facts, {finding.check: finding.level for finding in judge_broker(settings, facts)}


@pytest.mark.parametrize("way", ALL_WAYS)
async def test_of_our_own_configuration_nothing_is_worse_than_it_must_be(
    shipped: sandbox.Broker, way: str
) -> None:
    facts, found = await levels(Settings(mqtt=access(shipped, way)))
    assert facts.version is not None
    assert facts.version.startswith("mosquitto version 2.")
    assert facts.dropped_messages == 0
    assert facts.grants is not None
    assert facts.grants.subscribed
    expected = {"3.1.1": {"broker.window": Level.WARNING}}.get(way, {})
    worse = {c: level for c, level in found.items() if level not in (Level.OK, Level.NOTE)}
    assert worse == expected


async def test_the_terms_are_those_of_our_own_configuration(shipped: sandbox.Broker) -> None:
    facts, _ = await levels(Settings(mqtt=access(shipped, "tcp")))
    assert facts.terms is not None
    assert facts.terms.receive_maximum == 1000
    assert facts.terms.largest_packet_bytes == 2_097_152
    assert facts.terms.session_expiry_seconds == 604_800
    assert (facts.terms.qos, facts.terms.keepalive_seconds) == (2, 30)
    assert facts.terms.retained
    assert facts.terms.wildcards
    assert facts.terms.shared


async def test_every_limit_of_a_broker_is_seen(limited_url: str) -> None:
    facts, found = await levels(Settings(mqtt=Mqtt(url=limited_url)))
    assert facts.terms is not None
    assert facts.terms.receive_maximum == 20
    assert facts.terms.keepalive_seconds == 20
    assert found["broker.publishers"] is Level.WARNING
    assert found["broker.keepalive"] is Level.NOTE
    assert found["broker.highest_qos"] is Level.PROBLEM
    assert found["broker.subscriptions"] is Level.PROBLEM


@pytest.mark.parametrize("way", ALL_WAYS)
async def test_a_wrong_password_is_a_finding_that_names_the_setting(
    guarded: sandbox.Broker, way: str
) -> None:
    settings = access(guarded, way, username=USER, password=Secret("wrong"))
    facts, found = await levels(Settings(mqtt=settings))
    assert found == {"broker.connection": Level.PROBLEM}
    assert "mqtt.password" in facts.refusal
    assert "wrong" not in facts.refusal


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_that_nothing_listens_is_a_finding(protocol: str) -> None:
    settings = speaking(protocol, f"mqtt://{LOOPBACK}:{free_port()}")
    facts, found = await levels(Settings(mqtt=settings))
    assert found == {"broker.connection": Level.PROBLEM}
    assert "nothing listens" in facts.refusal


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broker_that_never_answers_is_a_finding(protocol: str) -> None:
    async with silent_server() as port:
        settings = speaking(protocol, f"mqtt://{LOOPBACK}:{port}")
        impatient = replace(settings, connect_timeout_seconds=0.3)
        _, found = await levels(Settings(mqtt=impatient))
    assert found == {"broker.connection": Level.PROBLEM}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_certificate_file_that_is_not_there_is_a_finding(protocol: str) -> None:
    settings = speaking(protocol, "mqtts://localhost:8883")
    untrusting = replace(settings, tls=Tls(ca_file="/no/such"))
    facts, found = await levels(Settings(mqtt=untrusting))
    assert found == {"broker.connection": Level.PROBLEM}
    assert "mqtt.tls.ca_file" in facts.refusal


@pytest.mark.parametrize("way", ALL_WAYS)
async def test_no_session_is_left_behind(shipped: sandbox.Broker, way: str) -> None:
    settings = access(shipped, way)
    async with running(settings, ["left/#"], Recorder()):
        pass
    await levels(Settings(mqtt=settings))
    shipped.restart()  # which writes down all sessions that the broker keeps
    kept = (shipped.folder / "mosquitto.db").read_bytes()
    assert settings.client_id.encode() in kept
    assert b"penstock-doctor" not in kept


@pytest.mark.parametrize("share_group", [None, "pipes"])
async def test_the_daemon_misses_nothing_while_it_is_asked(
    shipped: sandbox.Broker, topic_prefix: str, share_group: str | None
) -> None:
    settings = access(shipped, "tcp", share_group=share_group)
    route = Route(topic=f"{topic_prefix}/{{tenant}}/{{device}}")
    topic, recorder = f"{topic_prefix}/t/d", Recorder(acknowledging=True)
    sent: list[bytes] = []

    async def publish_until(done: asyncio.Event) -> None:
        async with mqtt_client(settings.url) as client:
            while not done.is_set():
                more = [b"%d" % (len(sent) + number) for number in range(200)]
                sent.extend(more)
                await client.publish((topic, payload) for payload in more)

    async with running(settings, [f"{topic_prefix}/+/+"], recorder):
        examined = asyncio.Event()
        publishing = asyncio.create_task(publish_until(examined))
        await until(lambda: recorder.received, "a first message")
        _, found = await levels(Settings(mqtt=settings, routes=(route,)))
        examined.set()
        await publishing
        await until(lambda: len(recorder.received) >= len(sent), "all messages")
    assert Level.PROBLEM not in found.values()
    assert recorder.payloads() == sent
    assert recorder.connections == [1]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broker_that_puts_client_ids_aside_does_not_cost_the_daemon_what_waits(
    renaming: sandbox.Broker, topic_prefix: str, protocol: str
) -> None:
    settings = access(renaming, protocol, username=USER, password=Secret(PASSWORD))
    recorder = Recorder(acknowledging=True)
    async with running(settings, [f"{topic_prefix}/#"], recorder):
        pass
    async with mqtt_client(settings.url, username=PUBLISHER, password=b"word") as publisher:
        await publisher.publish([(f"{topic_prefix}/t/d", b"waits")])
    _, found = await levels(Settings(mqtt=settings))
    assert found == {"broker.client_id": Level.PROBLEM}
    async with running(settings, [f"{topic_prefix}/#"], recorder):
        await until(lambda: recorder.received, "the message that waited")
    assert recorder.payloads() == [b"waits"]


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""
    leaving = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leaving.wait()
        writer.close()

    server = await asyncio.start_server(hold, LOOPBACK)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        leaving.set()
        server.close()
        await server.wait_closed()
