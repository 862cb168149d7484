"""Asks a broker of MQTT 5 for its terms: CONNECT, CONNACK, DISCONNECT, over TCP or TLS.

What always holds: nothing is subscribed to, so nothing can be received or acknowledged; no session
is left behind, because the DISCONNECT sets its expiry to 0 (MQTT 5 §3.14.2.2.2); and no session of
another client is ended. The session is asked for as the daemon asks for its own, expiry included,
because a broker names an expiry only where it differs. It is not asked for with a clean start: the
client id is new, so that would gain nothing; and where the broker puts a client's id aside for its
user name, a clean start would wipe the daemon's session. Then the CONNACK says that there was a
session, and it is left as it is.
"""

import asyncio
import contextlib
import ssl

import mqtt5

from penstock.cli.doctor.broker_terms import Terms
from penstock.errors import ConfigError
from penstock.mqtt import failures, handshake, refusals, wire
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.tls import tls_context
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

_FAREWELL_SECONDS = 2.0
_READ_BYTES = 65_536


class SomebodysSession:
    """The broker gave us a session that was there already."""


async def ask_terms(settings: Mqtt, endpoint: Endpoint) -> Terms | Refusal | SomebodysSession:
    """What the broker grants to `settings`, whose client id must be new; or why it does not.

    Within `mqtt.connect_timeout_seconds`, and a farewell of 2 s.
    """
    try:
        tls = tls_context(settings) if endpoint.tls else None
        async with asyncio.timeout(settings.connect_timeout_seconds):
            return await _converse(settings, endpoint, tls)
    except ConfigError as error:
        return failures.unusable_files(error)
    except wire.MalformedPacketError as error:
        return refusals.malformed(str(error))
    except OSError as error:
        return failures.unreachable(endpoint, error)


async def _converse(
    settings: Mqtt, endpoint: Endpoint, tls: ssl.SSLContext | None
) -> Terms | Refusal | SomebodysSession:
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=tls)
    try:
        writer.write(handshake.connect(settings))
        answer = await _answer(reader)
        if answer is None:
            return failures.unanswered(endpoint)
        if isinstance(answer, Refusal):
            return answer
        theirs = answer.session_present
        writer.write(_disconnect(session_expiry_seconds=None if theirs else 0))
        await _until_closed(reader)
        return SomebodysSession() if theirs else terms_of(answer, settings)
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> mqtt5.ConnAckPacket | Refusal | None:
    received = b""
    while data := await reader.read(_READ_BYTES):
        received += data
        answer = handshake.answer(received)
        if answer is not None:
            return answer[0]
    return None


def terms_of(connack: mqtt5.ConnAckPacket, asked: Mqtt) -> Terms:
    """The terms in a CONNACK, where what it leaves out is as it was asked for."""
    expiry, keepalive = connack.session_expiry_interval, connack.server_keep_alive
    return Terms(
        session_expiry_seconds=asked.session_expiry_seconds if expiry is None else expiry,
        receive_maximum=connack.receive_max,
        largest_packet_bytes=connack.max_packet_size,
        qos=int(connack.max_qos),
        keepalive_seconds=keepalive or asked.keepalive_seconds,
        retained=connack.retain_available,
        wildcards=connack.wildcard_subscription_available,
        shared=connack.shared_subscription_available,
    )


def _disconnect(session_expiry_seconds: int | None) -> bytes:
    return mqtt5.DisconnectPacket(session_expiry_interval=session_expiry_seconds).write()


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """Read and drop until the broker closes: it has taken the DISCONNECT then."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            while await reader.read(_READ_BYTES):
                pass
