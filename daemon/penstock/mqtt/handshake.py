"""The packets that open a session, CONNECT and SUBSCRIBE, and what the broker answers. Pure."""

from collections.abc import Sequence

import mqtt5

from penstock.mqtt import refusals, wire
from penstock.mqtt.refusals import Refusal
from penstock.settings.tree import Mqtt

_CONNACK = 0x20

_RETAIN_HANDLING = {
    "never": mqtt5.RetainHandling.SEND_NEVER,
    "new": mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
    "always": mqtt5.RetainHandling.SEND_ALWAYS,
}


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


def subscribe(settings: Mqtt, packet_id: int, asked: Sequence[str]) -> bytes:
    """One SUBSCRIBE for all of `asked` (MQTT 5 §3.8)."""
    filters = [
        mqtt5.TopicFilter(
            pattern,
            max_qos=mqtt5.QoS(settings.qos),
            retain_handling=_RETAIN_HANDLING[settings.retained],
        )
        for pattern in asked
    ]
    return mqtt5.SubscribePacket(packet_id, filters).write()


def unsupported(connack: mqtt5.ConnAckPacket, asked: Sequence[str]) -> dict[str, int]:
    """The filters over which this broker would end the connection, and with which code.

    See MQTT 5 §3.2.2.3.11 and §3.2.2.3.13.
    """
    codes: dict[str, int] = {}
    for pattern in asked:
        if pattern.startswith("$share/") and not connack.shared_subscription_available:
            codes[pattern] = refusals.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        elif not connack.wildcard_subscription_available and set("+#") & set(pattern):
            codes[pattern] = refusals.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED
    return codes
