"""The publisher's ledger is true, also when the broker goes away in the middle."""

import asyncio
import resource
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import mqtt5
import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from penstock.sandbox import Broker
from penstock_simulator.connection import PublishError
from penstock_simulator.fleet import Fleet, step_for
from penstock_simulator.lateness import lateness_of
from penstock_simulator.life import Births, Cut, Life
from penstock_simulator.pace import Bursts, Steady
from penstock_simulator.publisher import Publisher

DEADLINE_SECONDS = 60.0


def fleet_with(prefix: str, *, qos: int = 1, rate: float = 2_000, lanes: int = 3) -> Fleet:
    return Fleet(
        seed=time.time_ns() & 0xFFFFFFFF,
        start_us=time.time_ns() // 1_000,
        step_us=step_for(rate, size=12, malformed_every=20),
        tenants=3,
        devices=4,
        lanes=lanes,
        malformed_every=20,
        topic=f"{prefix}/{{tenant}}/{{device}}",
        qos=qos,
    )


@contextmanager
def subscriber(url: str, prefix: str, *, qos: int = 1) -> Iterator[set[bytes]]:
    """All distinct payloads that a bystander with a persistent session receives.

    It notes a message before it acknowledges it, so what a broker loses is missed here.
    """
    received: set[bytes] = set()
    subscribed = threading.Event()
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=f"{prefix}-listener", clean_session=False
    )
    client.reconnect_delay_set(min_delay=1, max_delay=1)

    @client.connect_callback()
    def on_connect(*_: object) -> None:
        client.subscribe(f"{prefix}/#", qos)

    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: received.add(bytes(message.payload))
    host, port = url.removeprefix("mqtt://").split(":")
    client.connect(host, int(port))
    client.loop_start()
    try:
        assert subscribed.wait(DEADLINE_SECONDS)
        yield received
    finally:
        client.disconnect()
        client.loop_stop()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def publishing(publisher: Publisher) -> AsyncIterator[None]:
    """Publish within the context, and drain at its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(publisher.run(stop))
    try:
        yield
        stop.set()
        await asyncio.wait_for(task, DEADLINE_SECONDS)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_message_is_acknowledged_and_arrives(mqtt_url: str, topic_prefix: str) -> None:
    publisher = Publisher(mqtt_url, fleet_with(topic_prefix), rate=2_000)
    with subscriber(mqtt_url, topic_prefix) as received:
        async with publishing(publisher):
            await until(lambda: publisher.published >= 1_000, "1,000 messages")
        ledger = publisher.ledger
        assert ledger.acknowledged == ledger.published == publisher.published >= 1_000
        assert (publisher.waiting, publisher.refused, publisher.reconnects) == (0, 0, 0)
        await until(lambda: len(received) == ledger.published, "all of them arrive")


async def test_it_publishes_as_fast_as_the_broker_takes_it(
    mqtt_url: str, topic_prefix: str
) -> None:
    publisher = Publisher(mqtt_url, fleet_with(topic_prefix, rate=0), rate=0)
    async with publishing(publisher):
        await until(lambda: publisher.published >= 20_000, "20,000 messages")
    assert publisher.ledger.acknowledged == publisher.published


async def test_at_qos_0_all_that_was_sent_has_left_when_it_ends(
    mqtt_url: str, topic_prefix: str
) -> None:
    publisher = Publisher(mqtt_url, fleet_with(topic_prefix, qos=0), rate=2_000)
    with subscriber(mqtt_url, topic_prefix, qos=0) as received:
        async with publishing(publisher):
            await until(lambda: publisher.published >= 500, "500 messages")
        await until(lambda: len(received) == publisher.published, "all of them arrive")
    assert publisher.ledger.acknowledged == 0


async def test_at_qos_0_a_broker_that_answers_late_still_gets_everything(
    topic_prefix: str,
) -> None:
    received = bytearray()
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(mqtt5.ConnAckPacket().write())
        await over.wait()
        writer.write(mqtt5.PingRespPacket().write())
        await writer.drain()
        await asyncio.sleep(0.1)  # for the answer to arrive; if it is late, nothing is shown
        while not received.endswith(mqtt5.DisconnectPacket(session_expiry_interval=0).write()):
            data = await reader.read(100_000)
            assert data, "the publisher closed the connection"
            received.extend(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        fleet = fleet_with(topic_prefix, qos=0, rate=0, lanes=1)
        publisher = Publisher(f"mqtt://127.0.0.1:{port}", fleet, rate=0, allowance=lambda: 1_000)
        async with publishing(publisher):
            await until(lambda: publisher.published == 1_000, "1,000 messages")
            asyncio.get_running_loop().call_later(0.1, over.set)
    assert received.count(fleet.tag.encode()) >= 2 * 1_000


async def test_it_keeps_to_its_rate(mqtt_url: str, topic_prefix: str) -> None:
    publisher = Publisher(mqtt_url, fleet_with(topic_prefix, rate=500), rate=500)
    started = time.monotonic()
    async with publishing(publisher):
        await until(lambda: publisher.published >= 250, "250 messages")
    assert publisher.published <= 500 * (time.monotonic() - started) + publisher.ledger.fleet.lanes


async def test_a_device_each_connection_sends_what_its_schedule_says(
    mqtt_url: str, topic_prefix: str
) -> None:
    fleet = fleet_with(topic_prefix, rate=1_000, lanes=12)
    pace = Bursts(rate=500, factor=4, burst_seconds=0.2, period_seconds=0.5)
    publisher = Publisher(mqtt_url, fleet, pace=pace, jitter=1.0)
    with subscriber(mqtt_url, topic_prefix) as received:
        async with publishing(publisher):
            await until(lambda: publisher.published >= 1_000, "1,000 messages")
            assert publisher.connected == fleet.size
        await until(lambda: len(received) == publisher.published, "all of them arrive")
    times = lateness_of(publisher.ledger)
    assert times.unsent_us.min() > -10_000  # two clocks are read, a moment apart
    assert len(times.puback_us) == publisher.published
    assert publisher.effort is not None
    assert publisher.effort.cpu_share > 0


async def test_lanes_that_were_cut_off_send_afterwards_what_they_owe(
    mqtt_url: str, topic_prefix: str
) -> None:
    fleet = fleet_with(topic_prefix, rate=1_000, lanes=12)
    cut = Cut(at_seconds=0.4, share=0.5, away_seconds=1.0, return_seconds=0.2)
    publisher = Publisher(mqtt_url, fleet, rate=1_000, life=Life(cuts=(cut,)))
    (departure,) = Life(cuts=(cut,)).departures(fleet.seed, np.arange(fleet.lanes))
    gone = departure.lanes.tolist()
    with subscriber(mqtt_url, topic_prefix) as received:
        async with publishing(publisher):
            await until(lambda: publisher.reconnects == len(gone), "all that were cut reconnect")
            await until(lambda: publisher.connected == fleet.lanes, "all are back")
            lanes = publisher.ledger.lanes.values()
            await until(lambda: min(lane.sent for lane in lanes) > 110, "all have caught up")
        assert publisher.ledger.acknowledged == publisher.published
        await until(lambda: len(received) == publisher.published, "all of them arrive")
    ledger = publisher.ledger
    for number, lane in ledger.lanes.items():
        due_us = ledger.due_us(number) - lane.started_us
        away = (due_us > 500_000) & (due_us < 1_300_000)
        late_us = (lane.sent_us - lane.started_us)[away] - 1_350_000
        assert away.sum() > 50
        assert (late_us.min() > 0) == (number in gone)


async def test_a_storm_cuts_everybody_and_loses_nothing(mqtt_url: str, topic_prefix: str) -> None:
    fleet = fleet_with(topic_prefix, rate=10_000, lanes=12)
    storm = Cut(at_seconds=0.2, every_seconds=0.15)
    publisher = Publisher(mqtt_url, fleet, rate=10_000, life=Life(cuts=(storm,)))
    with subscriber(mqtt_url, topic_prefix) as received:
        async with publishing(publisher):
            await until(lambda: publisher.reconnects >= 5 * fleet.lanes, "five storms")
            assert publisher.connected <= fleet.lanes
        assert publisher.ledger.acknowledged == publisher.published
        await until(lambda: len(received) == publisher.published, "all of them arrive")


async def test_lanes_are_born_in_the_course_of_the_run(mqtt_url: str, topic_prefix: str) -> None:
    fleet = fleet_with(topic_prefix, rate=1_000, lanes=12)
    life = Life(births=Births(share=1, over_seconds=1.5))
    publisher = Publisher(mqtt_url, fleet, pace=Steady(1_000), life=life)
    async with publishing(publisher):
        await publisher.started.wait()
        assert publisher.connected == 0
        await until(lambda: publisher.connected == fleet.lanes, "all are born")
        await until(lambda: min(x.sent for x in publisher.ledger.lanes.values()) > 0, "all send")
    assert life.births is not None
    born_us = life.births.seconds(fleet.seed, np.arange(fleet.lanes)) * 1e6
    for number, lane in publisher.ledger.lanes.items():
        assert lane.sent_us[0] - lane.started_us >= born_us[number] - 10_000


async def test_more_connections_than_the_system_allows_are_refused_with_the_reason(
    topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 10))
    publisher = Publisher("mqtt://127.0.0.1:1", fleet_with(topic_prefix), rate=1)
    with pytest.raises(OSError, match=r"3 connections need .* hard limit"):
        await publisher.run(asyncio.Event())


async def test_the_limit_of_open_files_is_raised_as_far_as_needed(
    mqtt_url: str, topic_prefix: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = open_files() + 5
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        publisher = Publisher(mqtt_url, fleet_with(topic_prefix, lanes=12), rate=1_000)
        async with publishing(publisher):
            await until(lambda: publisher.published >= 100, "100 messages")
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > few
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_an_allowance_holds_it_back(mqtt_url: str, topic_prefix: str) -> None:
    publisher = Publisher(mqtt_url, fleet_with(topic_prefix, rate=0), rate=0, allowance=lambda: 90)
    async with publishing(publisher):
        await until(lambda: publisher.published == 90, "90 messages")
        await until(lambda: publisher.waiting == 0, "all acknowledged")
    assert publisher.published == 90


async def test_a_broker_restart_loses_nothing(scratch: Path, topic_prefix: str) -> None:
    with Broker(scratch / topic_prefix) as broker:
        publisher = Publisher(broker.url, fleet_with(topic_prefix), rate=2_000)
        with subscriber(broker.url, topic_prefix) as received:
            async with publishing(publisher):
                await until(lambda: publisher.published >= 1_000, "1,000 messages")
                await asyncio.to_thread(broker.stop)
                sent = publisher.published
                await asyncio.to_thread(broker.start)
                await until(lambda: publisher.published >= sent + 1_000, "1,000 more")
            assert publisher.reconnects >= 3
            assert publisher.ledger.acknowledged == publisher.published
            await until(lambda: len(received) == publisher.published, "all of them arrive")


async def test_what_a_killed_broker_had_not_acknowledged_is_sent_again(
    scratch: Path, topic_prefix: str
) -> None:
    with Broker(scratch / topic_prefix) as broker:
        publisher = Publisher(broker.url, fleet_with(topic_prefix, rate=0), rate=0)
        async with publishing(publisher):
            await until(lambda: publisher.published >= 10_000, "10,000 messages")
            await asyncio.to_thread(broker.kill)
            sent = publisher.published
            await asyncio.to_thread(broker.start)
            await until(lambda: publisher.published >= sent + 10_000, "10,000 more")
        assert publisher.ledger.acknowledged == publisher.published


async def test_it_waits_for_a_broker_that_is_not_there_yet(
    scratch: Path, topic_prefix: str
) -> None:
    broker = Broker(scratch / topic_prefix)
    publisher = Publisher(broker.url, fleet_with(topic_prefix), rate=2_000)
    try:
        async with publishing(publisher):
            await asyncio.sleep(0.3)
            assert publisher.published == 0
            await asyncio.to_thread(broker.start)
            await until(lambda: publisher.published >= 1_000, "1,000 messages")
        assert publisher.ledger.acknowledged == publisher.published
    finally:
        await asyncio.to_thread(broker.stop)


async def test_a_broker_that_refuses_it_ends_it_with_the_reason(
    scratch: Path, topic_prefix: str
) -> None:
    with Broker(scratch / topic_prefix, users={"sim": "right"}) as broker:
        publisher = Publisher(
            broker.url.replace("//", "//sim:wrong@"), fleet_with(topic_prefix), rate=100
        )
        with pytest.raises(PublishError, match="NOT_AUTHORIZED"):
            await asyncio.wait_for(publisher.run(asyncio.Event()), DEADLINE_SECONDS)


async def test_it_logs_in_with_the_name_and_password_of_the_url(
    scratch: Path, topic_prefix: str
) -> None:
    with Broker(scratch / topic_prefix, users={"sim": "r@ght"}) as broker:
        publisher = Publisher(
            broker.url.replace("//", "//sim:r%40ght@"), fleet_with(topic_prefix), rate=1_000
        )
        async with publishing(publisher):
            await until(lambda: publisher.published >= 10, "10 messages")
        assert publisher.ledger.acknowledged == publisher.published


@pytest.mark.parametrize("url", ["ws://localhost", "localhost:1883", "mqtt://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not mqtt://"):
        Publisher(url, fleet_with("x"), rate=1)
