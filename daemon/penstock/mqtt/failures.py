"""What it means to an operator when there is no talking to the broker at all. Pure."""

import socket
import ssl

from penstock.errors import ConfigError
from penstock.mqtt.refusals import Refusal
from penstock.settings.mqtt_url import Endpoint


def unreachable(endpoint: Endpoint, error: OSError) -> Refusal:
    """Why no connection came about."""
    if isinstance(error, ssl.SSLError):
        return _tls_failed(endpoint, error)
    if isinstance(error, TimeoutError):
        return silent(endpoint)
    if isinstance(error, socket.gaierror):
        return _refusal(
            "unknown_host",
            f"the host name {endpoint.host} is not known ({error.strerror}): check mqtt.url",
        )
    if isinstance(error, ConnectionRefusedError):
        return _refusal(
            "connection_refused",
            f"nothing listens on {endpoint}: start the broker, or check mqtt.url",
        )
    if isinstance(error, ConnectionError):
        return unanswered(endpoint)
    return _refusal("unreachable", f"{endpoint} cannot be reached: {error}")


def silent(endpoint: Endpoint) -> Refusal:
    """The broker did not answer in time."""
    return _refusal(
        "connect_timeout",
        f"no answer from {endpoint} within mqtt.connect_timeout_seconds: check mqtt.url, "
        "firewalls, and whether the listener expects TLS",
    )


def lost(endpoint: Endpoint, error: Exception | None, *, answered: bool) -> Refusal:
    """The connection ended without a word, after or before the broker's answer to CONNECT."""
    if isinstance(error, ssl.SSLError):
        return _tls_failed(endpoint, error)
    if not answered:
        return unanswered(endpoint)
    return _refusal("connection_lost", f"the connection to {endpoint} was lost")


def unanswered(endpoint: Endpoint) -> Refusal:
    """The broker took the connection and closed it instead of answering."""
    return _refusal(
        "closed_unanswered",
        f"{endpoint} closed the connection without an answer: see the broker's log; check mqtt.url "
        "and whether the listener expects TLS or a client certificate, or set mqtt.protocol to "
        '"3.1.1" for an old broker',
    )


def no_websocket(endpoint: Endpoint, error: Exception) -> Refusal:
    """What listens there does not open a WebSocket for MQTT."""
    return _refusal(
        "websocket_refused",
        f"{endpoint} opens no WebSocket at {endpoint.websocket_path} ({error}): check the port and "
        "the path of mqtt.url",
    )


def unusable_files(error: ConfigError) -> Refusal:
    """A TLS file that was there at the start cannot be used now.

    Not patient, because it mends itself when somebody is just replacing certificate and key.
    """
    return _refusal("tls_files_unusable", str(error))


def _tls_failed(endpoint: Endpoint, error: ssl.SSLError) -> Refusal:
    # Python does not promise these attributes of an error that it did not raise itself.
    why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refusal(
            "certificate_not_trusted",
            f"the certificate of {endpoint} is not trusted ({why}): check "
            "mqtt.tls.ca_file, and that mqtt.url names the host as the certificate does",
            patient=True,
        )
    return _refusal(
        "tls_failed",
        f"TLS with {endpoint} failed ({why}): check that the listener expects "
        "TLS, and mqtt.tls.cert_file when it asks for a client certificate",
        patient=True,
    )


def _refusal(name: str, text: str, *, patient: bool = False) -> Refusal:
    return Refusal(name, f"{text} [{name}]", patient)
