"""The HTTP server: a few read-only resources, bound to one address.

Every answer of a resource but the metrics is JSON, errors too; to what is not HTTP, aiohttp answers
in plain text. A handler reads the state and answers in one step
of the event loop, so no request can see half of a change; none of them awaits anything outside.
"""

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Self

import msgspec
import structlog
from aiohttp import web

from penstock.errors import ConfigError, FatalError
from penstock.http.health import health, readiness
from penstock.http.queue_stats import queue_stats
from penstock.observability.exposition import Exposition
from penstock.observability.levels import LevelsNow
from penstock.observability.metrics import Metrics
from penstock.settings.listen import ListenAddress, parse_listen
from penstock.settings.tree import Http

_log = structlog.get_logger(__name__)

_HEADERS = {
    "Server": "penstock",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}
_LARGEST_BODY_BYTES = 1_024
_REQUEST_SECONDS = 75.0
"""How long a client has for the whole head of a request, and may be idle between two.

aiohttp measures both as its keep-alive, the first from the connection on; without this it waits an
hour for a client that sends a byte now and then. Longer than the usual interval of scrapes.
"""
_SHUTDOWN_SECONDS = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """Serves for the length of an asynchronous context; does nothing when `http.listen` is null.

    Errors: entering raises `ConfigError` when the address cannot be had, and `FatalError` when
    another program has it: that may pass, and whoever started the daemon may try again.
    """

    def __init__(self, settings: Http, metrics: Metrics, levels: LevelsNow) -> None:
        self._listen = settings.listen
        self._runner = web.AppRunner(
            _application(_Resources(metrics, levels)),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_REQUEST_SECONDS,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        self.address: ListenAddress | None = None
        """Where it listens, with the port in use; `None` when it does not."""

    async def __aenter__(self) -> Self:
        if self._listen is None:
            return self
        await self._runner.setup()
        try:
            self.address = await _bind(self._runner, self._listen)
        except BaseException:
            await self._runner.cleanup()
            raise
        _log.info("http_listening", host=self.address.host, port=self.address.port)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._runner.cleanup()
        self.address = None


def _application(resources: "_Resources") -> web.Application:
    application = web.Application(
        middlewares=[_errors_as_json], client_max_size=_LARGEST_BODY_BYTES
    )
    application.on_response_prepare.append(_add_headers)
    application.add_routes(
        [
            web.get("/health", resources.health),
            web.get("/health/live", resources.live),
            web.get("/health/ready", resources.ready),
            web.get("/metrics", resources.metrics),
            web.get("/api/v1/queue/stats", resources.queue_stats),
        ]
    )
    return application


async def _bind(runner: web.AppRunner, listen: str) -> ListenAddress:
    host, port = parse_listen(listen)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        kind = FatalError if error.errno == errno.EADDRINUSE else ConfigError
        raise kind(f"http.listen: {_binding_advice(error, listen)}") from error
    bound_port: int = runner.addresses[0][1]
    return ListenAddress(host, bound_port)


def _binding_advice(error: OSError, listen: str) -> str:
    # From Python 3.13 on asyncio gives an address that no interface has no number.
    if isinstance(error, socket.gaierror) or error.errno in {errno.EADDRNOTAVAIL, None}:
        return f"this machine has no address {listen}: use one that it has, or 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        return f"{listen} is in use by another program: stop it, or choose another port"
    if error.errno == errno.EACCES:
        return f"{listen} needs privileges: choose a port of 1024 or above"
    return f"cannot listen on {listen}: {error.strerror}"


class _Resources:
    """What can be asked for."""

    def __init__(self, metrics: Metrics, levels: LevelsNow) -> None:
        self._metrics = metrics
        self._levels = levels
        self._exposition = Exposition(metrics, levels)

    async def health(self, _request: web.Request) -> web.Response:
        answer = health(self._levels(), self._metrics)
        return _json(answer, status=503 if answer.reasons else 200)

    async def live(self, _request: web.Request) -> web.Response:
        # That this is answered at all is the answer: the event loop turns.
        return _json({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        answer = readiness(self._levels())
        return _json(answer, status=200 if answer.ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._exposition.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def queue_stats(self, _request: web.Request) -> web.Response:
        return _json(queue_stats(self._levels(), self._metrics))


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        response = _json({"error": refusal.reason}, status=refusal.status)
        if "Allow" in refusal.headers:
            response.headers["Allow"] = refusal.headers["Allow"]
        return response
    except Exception:  # noqa: BLE001 - one request must not end the daemon
        _log.exception("http_request_failed", method=request.method, path=request.path)
        return _json({"error": "Internal Server Error"}, status=500)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(answer), status=status, content_type="application/json"
    )
