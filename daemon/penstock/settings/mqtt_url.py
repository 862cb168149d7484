"""Where the broker is: what `mqtt.url` says.

A URL never carries a user name or password: whoever reads a process list or a log would read them.
They come from `mqtt.username` and `mqtt.password`, as every secret from a file or the environment.
No fault quotes the URL, for any part of it may be of a password.
"""

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

import msgspec

_PORTS = {"mqtt": 1883, "tcp": 1883, "mqtts": 8883, "ssl": 8883, "ws": 80, "wss": 443}
_TLS_SCHEMES = frozenset({"mqtts", "ssl", "wss"})
_WEBSOCKET_SCHEMES = frozenset({"ws", "wss"})
_WEBSOCKET_PATH = "/mqtt"
"""Where brokers listen for WebSockets when the URL names no path."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect to."""

    host: str
    port: int
    tls: bool
    websocket_path: str | None = None
    """Path and query of a WebSocket; `None` for plain MQTT."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_url(text: str) -> Endpoint:
    """Read a URL of `mqtt`, `tcp`, `mqtts`, `ssl`, `ws` or `wss`, with the usual default ports.

    Raises `ValueError` that says everything that is wrong, and what to write instead.
    """
    try:
        url = urlsplit(text)
    except ValueError:
        raise ValueError("its host is none: an IPv6 address stands in brackets") from None
    faults = "; ".join(_faults(url))
    if faults:
        raise ValueError(faults)
    websocket = url.scheme in _WEBSOCKET_SCHEMES
    return Endpoint(
        host=url.hostname or "",
        port=url.port or _PORTS[url.scheme],
        tls=url.scheme in _TLS_SCHEMES,
        websocket_path=(_path(url) or _WEBSOCKET_PATH) if websocket else None,
    )


def _faults(url: SplitResult) -> Iterator[str]:
    if url.scheme not in _PORTS:
        yield "expected mqtt://, mqtts://, ws:// or wss://, then host and port"
    elif not url.hostname:
        yield "has no host"
    elif _path(url) and url.scheme not in _WEBSOCKET_SCHEMES:
        yield "only ws:// and wss:// have a path"
    if url.hostname and not _can_be_resolved(url.hostname):
        yield "its host is no host name: between two dots there are 1 to 63 characters"
    if not _has_valid_port(url):
        yield "expected a port from 1 to 65535"
    if url.username is not None or url.password is not None:
        yield "holds a user name: use mqtt.username and mqtt.password instead"
    if url.fragment:
        yield "a # means nothing in it"


def _can_be_resolved(host: str) -> bool:
    """Whether the host name has the form that resolving it asks for (RFC 3490)."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _has_valid_port(url: SplitResult) -> bool:
    try:
        return url.port != 0
    except ValueError:
        return False


def _path(url: SplitResult) -> str:
    """The path with the query; nothing when the path is only a slash."""
    path = url.path + (f"?{url.query}" if url.query else "")
    return path if path.strip("/") else ""
