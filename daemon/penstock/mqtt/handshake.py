"""The CONNECT that asks for the session, and what the broker's first answer means. Pure."""

import mqtt5

from penstock.mqtt import refusals, wire
from penstock.mqtt.refusals import Refusal
from penstock.settings.tree import Mqtt

_CONNACK = 0x20


def connect(settings: Mqtt) -> bytes:
    """The CONNECT packet: a fixed client id whose session the broker keeps (MQTT 5 §3.1)."""
    return mqtt5.ConnectPacket(
        settings.client_id,
        username=settings.username,
        password=settings.password.reveal().encode() if settings.password else None,
        clean_start=False,
        keep_alive=settings.keepalive_seconds,
        session_expiry_interval=settings.session_expiry_seconds,
        receive_max=settings.receive_maximum,
        # No limit on the packet size, for the broker drops what exceeds it without a word; and no
        # topic aliases, for the codec does not resolve them.
        topic_alias_max=0,
    ).write()


def answer(data: bytes) -> tuple[mqtt5.ConnAckPacket | Refusal, int] | None:
    """The broker's answer at the beginning of `data`, and its length; `None` when not whole yet.

    What is no CONNACK is a `MalformedPacketError`.
    """
    if data[0] != _CONNACK:
        raise wire.MalformedPacketError("it does not begin with a CONNACK")
    size = wire.packet_bytes(memoryview(data))
    if size is None or size > len(data):
        return None
    if size == 4:  # without properties: from a broker of MQTT 3.1.1 (§3.2 there)
        return refusals.refusal(data[3] or refusals.UNACCEPTABLE_PROTOCOL_VERSION), size
    packet = wire.read_control(memoryview(data)[:size])
    if not isinstance(packet, mqtt5.ConnAckPacket):
        raise wire.MalformedPacketError("it does not begin with a CONNACK")
    code = int(
        packet.reason_code
    )  # the codec's enumerations are no integers, whatever its types say
    if code:
        return refusals.refusal(code, packet.reason_str, packet.server_reference), size
    return packet, size
