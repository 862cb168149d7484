"""Where the broker is and how to trust it: the URL and the TLS files of the configuration.

A URL never carries a user name or password: whoever reads a process list or a log would read them.
They come from `mqtt.username` and `mqtt.password`, as every secret from a file or the environment.
"""

import ssl
from urllib.parse import urlsplit

import msgspec

from penstock.errors import ConfigError
from penstock.settings.tree import Mqtt

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
    """Read `mqtt.url`: `mqtt`, `tcp`, `mqtts`, `ssl`, `ws` or `wss`, with the usual default ports.

    Errors: `ConfigError` with what to write instead.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"mqtt.url: {error}") from None
    if url.username is not None or url.password is not None:
        raise ConfigError(
            "mqtt.url: holds a user name or password: use mqtt.username and mqtt.password instead"
        )
    if url.scheme not in _PORTS:
        raise ConfigError(f"mqtt.url: expected one of {', '.join(_PORTS)} before ://, in {text!r}")
    if not url.hostname or port == 0:
        raise ConfigError(f"mqtt.url: expected a host, and a port from 1 to 65535, in {text!r}")
    try:
        url.hostname.encode("idna")  # as resolving it does
    except UnicodeError as error:
        raise ConfigError(f"mqtt.url: {url.hostname!r} is no host name: {error}") from None
    websocket = url.scheme in _WEBSOCKET_SCHEMES
    path = url.path + (f"?{url.query}" if url.query else "")
    if not websocket and path.strip("/"):
        raise ConfigError(f"mqtt.url: only ws:// and wss:// have a path, in {text!r}")
    return Endpoint(
        host=url.hostname,
        port=port or _PORTS[url.scheme],
        tls=url.scheme in _TLS_SCHEMES,
        websocket_path=(path if path.strip("/") else _WEBSOCKET_PATH) if websocket else None,
    )


def tls_context(settings: Mqtt) -> ssl.SSLContext:
    """The authorities to trust and the client certificate to show.

    Errors: `ConfigError` that names the file that cannot be used.
    """
    files = settings.tls
    context = ssl.create_default_context()
    context.check_hostname = files.verify_hostname
    if files.ca_file is not None:
        context = _trusting(files.ca_file, verify_hostname=files.verify_hostname)
    if files.cert_file is not None:
        try:
            context.load_cert_chain(files.cert_file, files.key_file, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls.cert_file {files.cert_file} with mqtt.tls.key_file {files.key_file}: "
                f"{error}"
            ) from None
    return context


def _trusting(ca_file: str, *, verify_hostname: bool) -> ssl.SSLContext:
    """A context that trusts the authorities of one file and no other."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.tls.ca_file {ca_file}: {error}") from None
    context.check_hostname = verify_hostname
    return context


def _no_password() -> str:
    """Refuse an encrypted key, instead of asking for its password on the terminal."""
    raise ConfigError("mqtt.tls.key_file is encrypted: give one without a password")
