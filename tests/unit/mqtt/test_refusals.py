import socket
import ssl

import mqtt5
import pytest

from penstock.mqtt import failures, refusals
from penstock.settings.mqtt_url import Endpoint

BROKER = Endpoint(host="broker", port=1883, tls=False)


@pytest.mark.parametrize(
    "kind",
    [mqtt5.ConnAckReasonCode, mqtt5.DisconnectReasonCode, mqtt5.SubAckReasonCode],
)
def test_every_reason_that_a_broker_can_give_to_us_is_named(kind: type) -> None:
    # Reasons for what we never send: wills, authentication exchanges, publishing.
    foreign = {0x04, 0x90, 0x91, 0x94, 0x99, 0x9A, 0x9B, 0x01, 0x02}
    for code in range(256):
        try:
            kind(code)
        except ValueError:
            continue
        if code not in foreign:
            assert refusals.refusal(code).name != "unknown", hex(code)


@pytest.mark.parametrize("code", [0x02, 0x85])
def test_a_refused_client_id_may_be_a_refused_keepalive(code: int) -> None:
    """mosquitto's answer to MQTT 3.1.1 above its max_keepalive."""
    text = refusals.refusal(code).text
    assert "mqtt.client_id" in text
    assert "mqtt.keepalive_seconds" in text


def test_an_unknown_reason_is_still_shown() -> None:
    refused = refusals.refusal(0xEE, "because")
    assert "0xee" in refused.text
    assert "because" in refused.text


@pytest.mark.parametrize(
    ("error", "name", "patient"),
    [
        (ConnectionRefusedError(), "connection_refused", False),
        (ConnectionResetError(), "closed_unanswered", False),
        (TimeoutError(), "connect_timeout", False),
        (socket.gaierror(-2, "Name or service not known"), "unknown_host", False),
        (ssl.SSLCertVerificationError("self-signed"), "certificate_not_trusted", True),
        (ssl.SSLError("wrong version number"), "tls_failed", True),
        (OSError("no route to host"), "unreachable", False),
    ],
)
def test_every_way_not_to_connect_is_named(error: OSError, name: str, patient: bool) -> None:
    refused = failures.unreachable(BROKER, error)
    assert (refused.name, refused.patient) == (name, patient)
    assert "broker" in refused.text
