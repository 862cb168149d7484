"""Runs a peer: a process of its own, configured by its environment, on a database of its own.

A peer is ready when a message that it was sent is in its table. So nothing is published before it
has subscribed, which it could not be blamed for losing.
"""

import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.frame import BenchError
from benchmarks.line_rate import METRICS
from benchmarks.peers.counting import counted_messages
from benchmarks.peers.table import peer_database, row_count
from benchmarks.subjects import Bench, Packet, Subject, write_back
from penstock.sandbox.errors import SandboxError
from penstock.sandbox.process import Process
from penstock.sandbox.programs import find_program

_PROBE_TOPIC = "devices/probe/probe/telemetry"
_PROBE = '{"ts":%d,"metrics":{"temperature":0.5}}'
_PROBE_SECONDS = 0.25


class Peer(NamedTuple):
    """How a peer is run."""

    name: str
    command: Callable[[Path], Sequence[str | Path]]
    """Its command line, given a folder of its own to write to."""
    unique: bool = True
    """Whether it can ignore a row that is there already."""


@contextmanager
def running_peer(peer: Peer, bench: Bench, packet: Packet) -> Iterator[Subject]:
    """A peer that is ready, with an empty database.

    Raises:
        BenchError: it ended, or stored nothing; the text has the end of its log from line 2 on.
    """
    del packet
    with peer_database(bench.server_dsn, unique=peer.unique) as dsn:
        write_back(bench.server_dsn)
        client_id = f"peer{secrets.token_hex(4)}"
        folder = bench.folder / client_id
        folder.mkdir()
        process = Process(
            peer.name,
            log_path=folder / "log",
            death_signal=signal.SIGKILL,
            environment=_environment(bench.mqtt_url, dsn, client_id),
        )
        try:
            process_id = _start(process, peer.command(folder), bench.mqtt_url, dsn)
            with counted_messages(dsn, folder / "counter", rows_per_message=METRICS) as gauge:
                yield Subject(process_id, gauge, dsn)
        finally:
            _end(process)
            _forget_session(bench.mqtt_url, client_id)


def _start(process: Process, command: Sequence[str | Path], mqtt_url: str, dsn: str) -> int:
    try:
        process.start(command, lambda: _stores(mqtt_url, dsn))
    except SandboxError as error:
        raise BenchError(str(error)) from error
    return process.process_id


def _end(process: Process) -> None:
    """However it takes it: what it has stored until now is what counts."""
    with suppress(SandboxError):
        process.signal(signal.SIGTERM)


def _environment(mqtt_url: str, dsn: str, client_id: str) -> Mapping[str, str]:
    url = urlsplit(mqtt_url)
    return {
        "PEER_MQTT_HOST": str(url.hostname),
        "PEER_MQTT_PORT": str(url.port),
        "PEER_CLIENT_ID": client_id,
        "PEER_DSN": dsn,
    }


def _stores(mqtt_url: str, dsn: str) -> bool:
    """Send a message of nobody's, and see whether it, or one before it, has been stored."""
    payload = _PROBE % (time.time_ns() // 1_000)
    _mosquitto("mosquitto_pub", mqtt_url, "-q", "1", "-t", _PROBE_TOPIC, "-m", payload)
    time.sleep(_PROBE_SECONDS)
    return row_count(dsn) > 0


def _forget_session(mqtt_url: str, client_id: str) -> None:
    """Connect in its name with a clean session, which ends the one that was kept for it."""
    _mosquitto("mosquitto_sub", mqtt_url, "-i", client_id, "-t", _PROBE_TOPIC, "-E")


def _mosquitto(program: str, mqtt_url: str, *arguments: str) -> None:
    url = urlsplit(mqtt_url)
    subprocess.run(
        [str(find_program(program)), "-h", str(url.hostname), "-p", str(url.port), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
