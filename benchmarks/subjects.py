"""The subjects of the line-rate benchmark, all on the same broker, each in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.aiomqtt_loop import RECEIVE_MAXIMUM
from benchmarks.processes import running
from benchmarks.progress import Gauge, new_counter, read_gauge, written_gauge
from penstock.sandbox.programs import find_program
from penstock_simulator.stack import Daemon, fresh_database

TOPIC_FILTER = "devices/+/+/telemetry"
NEWLINE_BYTES = 1

_SUBSCRIBED_SECONDS = 0.5


class Bench(NamedTuple):
    """What all subjects share."""

    folder: Path
    mqtt_url: str
    server_dsn: str


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
        gauge = written_gauge(process.pid, packet.payload_bytes + NEWLINE_BYTES)
        yield Subject(process.pid, gauge)


@contextmanager
def aiomqtt_loop(bench: Bench, packet: Packet) -> Iterator[Subject]:
    """The plain loop of aiomqtt."""
    del packet
    url = urlsplit(bench.mqtt_url)
    counter = bench.folder / "counter"
    new_counter(counter)
    command = [
        *(sys.executable, "-m", "benchmarks.aiomqtt_loop"),
        *(str(url.hostname), str(url.port), TOPIC_FILTER, str(counter)),
    ]
    with running(command) as process:
        yield Subject(process.pid, Gauge("counter", path=str(counter)))


@contextmanager
def penstock(bench: Bench, packet: Packet) -> Iterator[Subject]:
    """Penstock under the reference configuration, with a fresh database."""
    with fresh_database(bench.server_dsn) as dsn:
        daemon = Daemon(bench.folder, mqtt_url=bench.mqtt_url, dsn=dsn)
        daemon.migrate()
        daemon.start()
        try:
            gauge = read_gauge(daemon.process_id, packet.packet_bytes)
            yield Subject(daemon.process_id, gauge, dsn)
        finally:
            daemon.stop()
