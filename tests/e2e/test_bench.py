"""The parts of the benchmark measure what they say, with real subjects."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.frame import MEBIBYTE
from benchmarks.growth_scale import Scale
from benchmarks.growth_window import measure_scale
from benchmarks.line_rate import MakeSubject, measure, measure_fleet, new_fleet, packet_of
from benchmarks.progress import read_gauge
from benchmarks.readings import CASES, readings_per_second
from benchmarks.shared import measure_instances
from benchmarks.storage import measure_pairs
from benchmarks.subjects import Bench, aiomqtt_311_loop, null_sink, penstock
from penstock import sandbox
from penstock_simulator.publisher import Publisher
from penstock_simulator.stack import fresh_database

DEADLINE_SECONDS = 60.0
MESSAGES = 3_000
BUFFERED = 4_096 // 60 + 1
"""What the lines that the sink holds back before it writes them count as, in messages."""


@pytest.fixture
def bench(tmp_path: Path, scratch: Path, topic_prefix: str, server_dsn: str) -> Iterator[Bench]:
    """A broker of its own: subjects subscribe to topics that other tests publish to."""
    with sandbox.Broker(scratch / topic_prefix) as broker:
        yield Bench(tmp_path, broker.url, server_dsn)


@pytest.mark.parametrize("qos", [0, 1])
def test_penstocks_rate_is_of_committed_messages(bench: Bench, qos: int) -> None:
    measured = measure(bench, penstock, qos=qos, seconds=3)
    assert measured.account is not None
    assert measured.account.holds
    assert measured.account.published >= measured.messages_per_second
    assert measured.messages_per_second > 0
    assert measured.cpu_us_per_message > 0
    assert measured.dropped == 0 or qos == 0
    assert measured.resident_bytes > 10 * MEBIBYTE
    assert 0 < len(measured.waits_us) <= measured.account.published
    assert measured.waits_us.min() > 0


@pytest.mark.parametrize("subject", [null_sink, aiomqtt_311_loop])
def test_sinks_are_measured(bench: Bench, subject: MakeSubject) -> None:
    measured = measure(bench, subject, qos=1, seconds=3)
    assert measured.messages_per_second > 0
    assert measured.cpu_us_per_message > 0
    assert measured.account is None


async def test_messages_are_counted_from_outside(bench: Bench) -> None:
    fleet = new_fleet(1, 0)
    publisher = Publisher(bench.mqtt_url, fleet, rate=0, allowance=lambda: MESSAGES)
    with null_sink(bench, packet_of(fleet)) as subject:
        received = read_gauge(subject.process_id, packet_of(fleet).packet_bytes)
        stop = asyncio.Event()
        task = asyncio.create_task(publisher.run(stop))
        deadline = time.monotonic() + DEADLINE_SECONDS
        while received.messages() < MESSAGES or subject.gauge.messages() < MESSAGES:
            assert time.monotonic() < deadline, (received.messages(), subject.gauge.messages())
            await asyncio.sleep(0.01)
        stop.set()
        await task
        assert received.messages() <= 1.05 * MESSAGES
        assert subject.gauge.messages() <= MESSAGES + BUFFERED


def test_readings_of_many_in_a_message_are_committed_and_reconciled(bench: Bench) -> None:
    case = CASES[-1]
    measured = measure_fleet(bench, case.subject, case.fleet(), seconds=3, backlog=500)
    assert measured.account is not None
    assert measured.account.holds
    assert measured.account.stored_readings == 100 * measured.account.published
    assert readings_per_second(measured) == pytest.approx(100 * measured.messages_per_second)


def test_instances_share_the_messages_and_store_each_once(bench: Bench) -> None:
    shared = measure_instances(bench, 2, seconds=3)
    account = shared.measured.account
    assert account is not None
    assert account.holds
    assert sum(shared.received) >= account.published
    assert min(shared.received) > 0


def test_ours_and_raw_store_the_same_rows(tmp_path: Path, server_dsn: str) -> None:
    with fresh_database(server_dsn) as dsn:
        pairs = list(
            measure_pairs(
                server_dsn, dsn, tmp_path, rows=6_000, batch_rows=(500, 3_000), writers=(1, 2)
            )
        )
    assert [case for case, _ in pairs] == [(500, 1), (500, 2), (3_000, 1), (3_000, 2)]
    for _, pair in pairs:
        assert pair.ours.rows_per_second > 0
        assert pair.raw.rows_per_second > 0


def test_a_scale_of_everything_is_measured_and_reconciled(bench: Bench) -> None:
    scale = Scale(devices=60, tenants=3, routes=4, days=3, spread=True)
    cost = measure_scale(bench, scale, seconds=3)
    assert cost.messages_per_second > 0
    assert cost.daemon_us > 0
    assert cost.first_seconds > 0
    assert cost.resident_bytes > 0
