"""A peer is run and counted right: what it stored, and what is missing, doubled or altered.

The scripts stand for all of them. Node-RED and Telegraf would have to be installed first, so only
the benchmark itself runs them.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.line_rate import METRICS, new_fleet
from benchmarks.peers.known import SCRIPTS
from benchmarks.peers.running import Peer, running_peer
from benchmarks.reconciling import settled
from benchmarks.subjects import Bench, Packet, Subject
from penstock import sandbox
from penstock.sandbox.databases import execute
from penstock_simulator.ledger import Ledger
from penstock_simulator.oracle import verify
from penstock_simulator.publisher import Publisher

DEADLINE_SECONDS = 60.0
MESSAGES = 200
ONE_ROW = "from sensor_readings where tenant <> 'probe' limit 1"


@pytest.fixture
def bench(tmp_path: Path, scratch: Path, topic_prefix: str, server_dsn: str) -> Iterator[Bench]:
    """A broker of its own: peers subscribe to topics that other tests publish to."""
    with sandbox.Broker(scratch / topic_prefix) as broker:
        yield Bench(tmp_path, broker.url, server_dsn)


@pytest.mark.parametrize("peer", SCRIPTS, ids=lambda peer: peer.name)
def test_a_script_stores_what_it_was_sent(bench: Bench, peer: Peer) -> None:
    with running_peer(peer, bench, NO_PACKET) as subject:
        assert subject.dsn is not None
        ledger = asyncio.run(published(bench))
        account = settled(subject.dsn, ledger).account()
        until_counted(subject)
    assert account.holds
    assert account.stored_readings == METRICS * account.published
    assert account.acknowledged == account.published >= MESSAGES


def test_what_is_missing_doubled_or_altered_in_a_peers_table_is_counted(bench: Bench) -> None:
    plain = SCRIPTS[0]._replace(unique=False)
    with running_peer(plain, bench, NO_PACKET) as subject:
        assert subject.dsn is not None
        ledger = asyncio.run(published(bench))
        settled(subject.dsn, ledger)
        execute(subject.dsn, f"insert into sensor_readings select * {ONE_ROW}")
        assert asyncio.run(verify(subject.dsn, ledger)).faults == {"duplicates": 1}
        execute(
            subject.dsn,
            "delete from sensor_readings where (device, ts, metric) in"
            f" (select device, ts, metric {ONE_ROW})",
        )
        faults = asyncio.run(verify(subject.dsn, ledger)).faults
        assert faults["lost"] == 1
        execute(subject.dsn, "update sensor_readings set value = value + 1 where tenant <> 'probe'")
        account = asyncio.run(verify(subject.dsn, ledger))
        assert account.corrupt == account.stored_readings + account.duplicates > 0


NO_PACKET = Packet(0, 0)
"""Peers are not told how long messages are."""


async def published(bench: Bench) -> Ledger:
    """What was sent and acknowledged."""
    publisher = Publisher(bench.mqtt_url, new_fleet(1, 0), allowance=lambda: MESSAGES)
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while publisher.published < MESSAGES or publisher.waiting:
        assert time.monotonic() < deadline, f"only {publisher.published} messages were published"
        await asyncio.sleep(0.01)
    stop.set()
    await running
    return publisher.ledger


def until_counted(subject: Subject) -> None:
    """Wait until the gauge, which looks now and then, has seen it all."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while subject.gauge.messages() < MESSAGES:
        assert time.monotonic() < deadline, f"{subject.gauge.messages()} messages were counted"
        time.sleep(0.01)
