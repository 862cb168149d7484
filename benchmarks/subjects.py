"""The subjects of the line-rate benchmark, all on the same broker, each in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import msgspec

from benchmarks.aiomqtt_loop import RECEIVE_MAXIMUM
from benchmarks.processes import running
from benchmarks.progress import Gauge, new_counter, passed_gauge, read_gauge
from penstock import sandbox
from penstock.sandbox.databases import execute
from penstock.sandbox.programs import find_program
from penstock_simulator.stack import Daemon, fresh_database, running_broker

TOPIC_FILTER = "devices/+/+/telemetry"
_NEWLINE_BYTES = 1
_SUBSCRIBED_SECONDS = 0.5


class Bench(NamedTuple):
    """What all subjects share."""

    folder: Path
    mqtt_url: str
    server_dsn: str
    broker_id: int | None = None
    """The broker's process id, where it is ours."""


@contextmanager
def servers() -> Iterator[Bench]:
    """A broker and a database server for one benchmark, in a scratch folder."""
    with (
        sandbox.scratch_folder() as folder,
        running_broker(folder / "broker") as (mqtt_url, broker),
        sandbox.database_server(folder / "postgres") as server_dsn,
    ):
        broker_id = None if broker is None else broker.process_id
        yield Bench(folder, mqtt_url, server_dsn, broker_id)


class Packet(NamedTuple):
    """The length of a message."""

    packet_bytes: int
    """As the subject receives it."""
    payload_bytes: int


class Subject(NamedTuple):
    """A running subject."""

    process_id: int
    gauge: Gauge
    dsn: str | None = None
    """Where it stores what it takes, if it does."""
    others: tuple[int, ...] = ()
    """Further processes that it consists of."""

    @property
    def process_ids(self) -> tuple[int, ...]:
        """All its processes."""
        return (self.process_id, *self.others)


@contextmanager
def null_sink(bench: Bench, packet: Packet) -> Iterator[Subject]:
    """`mosquitto_sub` to nowhere, with a window as large as Penstock's: all the broker can give."""
    url = urlsplit(bench.mqtt_url)
    command = [
        *(str(find_program("mosquitto_sub")), "-h", str(url.hostname), "-p", str(url.port)),
        *("-V", "5", "-D", "connect", "receive-maximum", str(RECEIVE_MAXIMUM)),
        *("-q", "1", "-t", TOPIC_FILTER),
    ]
    with running(command, stdout=subprocess.DEVNULL) as process:
        time.sleep(_SUBSCRIBED_SECONDS)
        line_bytes = packet.payload_bytes + _NEWLINE_BYTES
        gauge = passed_gauge(process.pid, packet.packet_bytes, line_bytes)
        yield Subject(process.pid, gauge)


@contextmanager
def aiomqtt_loop(bench: Bench, packet: Packet) -> Iterator[Subject]:
    """The plain loop of aiomqtt, with MQTT 5 as the other subjects."""
    del packet
    with _aiomqtt_loop(bench, "5") as subject:
        yield subject


@contextmanager
def aiomqtt_311_loop(bench: Bench, packet: Packet) -> Iterator[Subject]:
    """The same with MQTT 3.1.1, aiomqtt's default, which costs it far less."""
    del packet
    with _aiomqtt_loop(bench, "3.1.1") as subject:
        yield subject


@contextmanager
def penstock(
    bench: Bench, packet: Packet, *, overrides: Mapping[str, str] | None = None
) -> Iterator[Subject]:
    """Penstock under the reference configuration, with a fresh database.

    `overrides` are settings to change, as for `Daemon`.
    """
    with penstocks(bench, packet, number=1, overrides=overrides) as (subject, _):
        yield subject


@contextmanager
def penstocks(
    bench: Bench, packet: Packet, *, number: int, overrides: Mapping[str, str] | None = None
) -> Iterator[tuple[Subject, Sequence[Daemon]]]:
    """So many daemons with one fresh database, as one subject; `overrides` as for `penstock`."""
    with fresh_database(bench.server_dsn) as dsn, ExitStack() as stack:
        write_back(bench.server_dsn)
        daemons = [
            Daemon(bench.folder, mqtt_url=bench.mqtt_url, dsn=dsn, overrides=overrides)
            for _ in range(number)
        ]
        daemons[0].migrate()
        for daemon in daemons:
            stack.enter_context(_running(daemon))
        process_ids = [daemon.process_id for daemon in daemons]
        gauges = [read_gauge(process_id, packet.packet_bytes) for process_id in process_ids]
        gauge = msgspec.structs.replace(gauges[0], others=tuple(gauges[1:]))
        yield Subject(process_ids[0], gauge, dsn, tuple(process_ids[1:])), daemons


@contextmanager
def _running(daemon: Daemon) -> Iterator[None]:
    daemon.start()
    try:
        yield
    finally:
        daemon.stop()
        daemon.forget_session()


def write_back(server_dsn: str) -> None:
    """Have written to disk what earlier measurements left: it is not this one's to pay for."""
    with suppress(asyncpg.InsufficientPrivilegeError):
        execute(server_dsn, "checkpoint")
    os.sync()


@contextmanager
def _aiomqtt_loop(bench: Bench, version: str) -> Iterator[Subject]:
    url = urlsplit(bench.mqtt_url)
    counter = bench.folder / "counter"
    new_counter(counter)
    command = [
        *(sys.executable, "-m", "benchmarks.aiomqtt_loop"),
        *(str(url.hostname), str(url.port), TOPIC_FILTER, str(counter), version),
    ]
    with running(command) as process:
        yield Subject(process.pid, Gauge("counter", path=str(counter)))
