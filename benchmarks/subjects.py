"""The subjects of the line-rate benchmark, all on the same broker, each in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg

from benchmarks.aiomqtt_loop import RECEIVE_MAXIMUM
from benchmarks.processes import running
from benchmarks.progress import Gauge, new_counter, passed_gauge, read_gauge
from penstock import sandbox
from penstock.sandbox.databases import execute
from penstock.sandbox.programs import find_program
from penstock_simulator.stack import Daemon, fresh_database

TOPIC_FILTER = "devices/+/+/telemetry"
_NEWLINE_BYTES = 1
_SUBSCRIBED_SECONDS = 0.5


class Bench(NamedTuple):
    """What all subjects share."""

    folder: Path
    mqtt_url: str
    server_dsn: str


@contextmanager
def servers() -> Iterator[Bench]:
    """A broker and a database server for one benchmark, in a scratch folder."""
    with (
        sandbox.scratch_folder() as folder,
        sandbox.mqtt_broker(folder / "broker") as mqtt_url,
        sandbox.database_server(folder / "postgres") as server_dsn,
    ):
        yield Bench(folder, mqtt_url, server_dsn)


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
    with fresh_database(bench.server_dsn) as dsn:
        write_back(bench.server_dsn)
        daemon = Daemon(bench.folder, mqtt_url=bench.mqtt_url, dsn=dsn, overrides=overrides)
        daemon.migrate()
        daemon.start()
        try:
            gauge = read_gauge(daemon.process_id, packet.packet_bytes)
            yield Subject(daemon.process_id, gauge, dsn)
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
