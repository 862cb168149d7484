"""HTTP answers over real sockets, to probes, scrapers and people."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Literal

import aiohttp
import pytest
import structlog

from penstock import __version__
from penstock.errors import ConfigError, FatalError
from penstock.http.server import HttpServer
from penstock.observability.levels import Levels, SpoolLevels
from penstock.observability.metrics import Metrics
from penstock.settings.tree import Http
from tests.support.clocks import ManualClock
from tests.support.levels import WELL, levels_with

IN_USE = SpoolLevels(
    state="usable",
    batches=3,
    rows=15_000,
    size_bytes=330_000,
    limit_bytes=10_000_000,
    oldest_age_seconds=12.5,
)


class Daemon:
    """What the server is told of a daemon; a test makes it unwell."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics(self.clock)
        self.levels: Levels | Exception = WELL

    def levels_now(self) -> Levels:
        if isinstance(self.levels, Exception):
            raise self.levels
        return self.levels


class Answer:
    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


class Client:
    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Answer:
        async with self._session.request(method, self._base + path, **options) as response:
            return Answer(response, await response.read())


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    server = HttpServer(Http(listen="127.0.0.1:0"), daemon.metrics, daemon.levels_now)
    async with server, aiohttp.ClientSession() as session:
        assert server.address is not None
        yield Client(session, f"http://127.0.0.1:{server.address.port}")


async def test_health_of_a_daemon_that_is_well(daemon: Daemon, client: Client) -> None:
    daemon.clock.advance(90.5)
    account = daemon.metrics.ledger.account("acme")
    account.received, account.stored, account.in_flight = 10, 7, 3
    answer = await client.ask("/health")
    assert answer.status == 200
    found = answer.json
    timestamp = datetime.fromisoformat(found.pop("timestamp"))
    assert timestamp.utcoffset() == timedelta(0)
    assert timestamp.timestamp() == pytest.approx(daemon.clock.now_us() / 1e6, abs=0.001)
    assert found == {
        "status": "healthy",
        "service": "ok",
        "uptime": 90.5,
        "version": __version__,
        "queue_depth": 10_030,
        "db": "connected",
        "mqtt": "connected",
        "spool": "off",
        "reasons": [],
        "ledger": {
            "balanced": True,
            "received": 10, "stored": 7, "duplicate": 0, "dead_lettered": 0, "in_flight": 3,
            "spooled": 0, "shed": 0, "imbalance": 0,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "service", "reason"),
    [
        (levels_with(phase="starting"), "starting", "the daemon is starting"),
        (levels_with(phase="stopping"), "stopping", "the daemon is stopping"),
        (
            levels_with(mqtt_connected=False, mqtt_detail="not authorised"),
            "degraded",
            "the broker is not connected: not authorised",
        ),
        (
            levels_with(database_connected=False, database_detail="connection refused"),
            "degraded",
            "the database stores nothing: connection refused",
        ),
    ],
)
async def test_a_daemon_that_is_not_ready_answers_503_with_the_reason(
    daemon: Daemon, client: Client, levels: Levels, service: str, reason: str
) -> None:
    daemon.levels = levels
    health, ready = await client.ask("/health"), await client.ask("/health/ready")
    assert health.status == ready.status == 503
    assert health.json["status"] == "degraded"
    assert health.json["service"] == service
    assert health.json["reasons"] == ready.json["reasons"] == [reason]
    assert ready.json["ready"] is False
    assert health.json["db"] == ("connected" if levels.database_connected else "disconnected")
    assert health.json["mqtt"] == ("connected" if levels.mqtt_connected else "disconnected")


async def test_all_reasons_are_given_at_once(daemon: Daemon, client: Client) -> None:
    daemon.levels = levels_with(phase="starting", mqtt_connected=False, database_connected=False)
    assert len((await client.ask("/health/ready")).json["reasons"]) == 3


async def test_an_imbalance_is_unwell_and_yet_ready(daemon: Daemon, client: Client) -> None:
    daemon.metrics.ledger.account("lost").received = 5
    daemon.metrics.ledger.account("twice").stored = 1
    health = await client.ask("/health")
    assert health.status == 503
    assert health.json["reasons"] == ["6 readings of 2 tenants are unaccounted for"]
    assert health.json["ledger"]["imbalance"] == 6
    assert health.json["ledger"]["balanced"] is False
    assert (await client.ask("/health/ready")).status == 200


@pytest.mark.parametrize("state", ["full", "unusable"])
async def test_a_spool_that_takes_nothing_is_unwell_and_yet_ready(
    daemon: Daemon, client: Client, state: Literal["full", "unusable"]
) -> None:
    daemon.levels = levels_with(spool=SpoolLevels(state=state, detail="the disk is full"))
    health = await client.ask("/health")
    assert health.status == 503
    assert (health.json["spool"], health.json["reasons"]) == (state, ["the disk is full"])
    assert (await client.ask("/health/ready")).status == 200


async def test_a_daemon_that_is_unwell_is_still_alive(daemon: Daemon, client: Client) -> None:
    daemon.levels = levels_with(phase="stopping", mqtt_connected=False, database_connected=False)
    answer = await client.ask("/health/live")
    assert answer.status == 200
    assert answer.json == {"status": "alive"}


async def test_ready_has_no_reasons_when_it_is(client: Client) -> None:
    assert (await client.ask("/health/ready")).json == {"ready": True, "reasons": []}


async def test_queue_statistics(daemon: Daemon, client: Client) -> None:
    account = daemon.metrics.ledger.account("acme")
    daemon.levels = levels_with(spool=IN_USE)
    daemon.metrics.tick()
    daemon.metrics.spool.replayed_rows = 200
    account.received, account.stored, account.dead_lettered, account.in_flight = 500, 400, 10, 90
    daemon.clock.advance(5.0)
    daemon.metrics.tick()
    assert (await client.ask("/api/v1/queue/stats")).json == {
        "depth": {"rows": 10_030, "batches": 2, "bytes": 123_456},
        "bounds": {"rows": 100_000, "bytes": 67_108_864},
        "in_flight_readings": 90,
        "oldest_age_seconds": 0.25,
        "writers": {"configured": 2, "busy": 1},
        "window": {"unacknowledged": 7, "receive_maximum": 20_000, "paused": False},
        "spool": {
            "state": "usable", "batches": 3, "rows": 15_000, "bytes": 330_000,
            "limit_bytes": 10_000_000, "oldest_age_seconds": 12.5,
        },
        "rates_per_second": {
            "received": 100.0, "stored": 80.0, "dead_lettered": 2.0, "replayed": 40.0,
        },
    }  # fmt: skip


async def test_metrics_come_in_the_format_asked_for(client: Client) -> None:
    plain = await client.ask("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\npenstock_mqtt_connected 1.0\n" in plain.body
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    openmetrics = await client.ask("/metrics", headers=accept)
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")


async def test_an_unknown_path_is_404_and_a_wrong_method_405_in_json(client: Client) -> None:
    for path in ("/", "/healthz", "/health/", "/api/v1", "/%00", "/..%2f..%2fetc/passwd"):
        answer = await client.ask(path)
        assert answer.status == 404
        assert answer.json == {"error": "Not Found"}
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await client.ask("/health", method)
        assert answer.status == 405
        assert answer.json == {"error": "Method Not Allowed"}
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_head_has_the_status_without_the_body(daemon: Daemon, client: Client) -> None:
    daemon.levels = levels_with(mqtt_connected=False)
    answer = await client.ask("/health", "HEAD")
    assert answer.status == 503
    assert answer.body == b""


async def test_a_fault_in_a_handler_is_500_and_logged_and_the_next_request_works(
    daemon: Daemon, client: Client
) -> None:
    daemon.levels = RuntimeError("a bug")
    with structlog.testing.capture_logs() as logged:
        answer = await client.ask("/health")
    assert answer.status == 500
    assert answer.json == {"error": "Internal Server Error"}
    assert [(line["event"], line["path"]) for line in logged] == [
        ("http_request_failed", "/health")
    ]
    daemon.levels = WELL
    assert (await client.ask("/health")).status == 200


async def test_every_answer_has_safe_headers(client: Client) -> None:
    for path in ("/health", "/metrics", "/nowhere"):
        headers = (await client.ask(path)).headers
        assert headers["Server"] == "penstock"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'"


async def test_what_is_not_http_harms_nobody(daemon: Daemon, client: Client) -> None:
    port = int(client._base.rpartition(":")[2])
    for garbage in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" + b"x" * 65_536):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()
    assert (await client.ask("/health")).status == 200


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_never_ends_its_request_is_cut_off_and_others_are_served(
    monkeypatch: pytest.MonkeyPatch, daemon: Daemon, sent: bytes
) -> None:
    monkeypatch.setattr("penstock.http.server._REQUEST_SECONDS", 0.3)
    server = HttpServer(Http(listen="127.0.0.1:0"), daemon.metrics, daemon.levels_now)
    async with server, aiohttp.ClientSession() as session:
        assert server.address is not None
        port = server.address.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        closed = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(60):
            while not closed.done():
                if sent:
                    writer.write(b"X-Slow: 1\r\n")
                client = Client(session, f"http://127.0.0.1:{port}")
                assert (await client.ask("/health")).status == 200
                await asyncio.sleep(0.02)
        # Nothing was answered; bytes that came after the end may have reset the connection.
        assert closed.exception() is not None or closed.result() == b""
        writer.close()


async def test_nothing_is_served_where_listen_is_null(daemon: Daemon) -> None:
    async with HttpServer(Http(listen=None), daemon.metrics, daemon.levels_now) as server:
        assert server.address is None


async def test_ipv6_is_served(daemon: Daemon) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on its loopback interface")
    async with (
        HttpServer(Http(listen="[::1]:0"), daemon.metrics, daemon.levels_now) as server,
        aiohttp.ClientSession() as session,
    ):
        assert server.address is not None
        async with session.get(f"http://[::1]:{server.address.port}/health/live") as response:
            assert response.status == 200


async def test_an_address_of_another_machine_is_an_error_with_advice(daemon: Daemon) -> None:
    server = HttpServer(Http(listen="192.0.2.1:0"), daemon.metrics, daemon.levels_now)
    with pytest.raises(
        ConfigError, match=r"^http\.listen: this machine has no address 192\.0\.2\.1:0"
    ):
        await server.__aenter__()


async def test_a_port_in_use_is_an_error_with_advice(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(FatalError, match=f"http.listen: {listen} is in use by another program"):
            await HttpServer(Http(listen=listen), daemon.metrics, daemon.levels_now).__aenter__()


async def test_the_port_is_free_again_after_the_context(daemon: Daemon) -> None:
    async with HttpServer(Http(listen="127.0.0.1:0"), daemon.metrics, daemon.levels_now) as first:
        assert first.address is not None
        listen = f"127.0.0.1:{first.address.port}"
    async with HttpServer(Http(listen=listen), daemon.metrics, daemon.levels_now) as second:
        assert second.address is not None
        assert f"127.0.0.1:{second.address.port}" == listen
