"""What a capture holds of a message, and the lines that hold it.

A capture is lines of JSON (RFC 8259), compressed with gzip (RFC 1952) or plain: first a header,
then a message a line, in the order received. Both are read by tools that are everywhere, and a
capture can be cut, filtered or written by hand; what is cut off of a file costs its tail alone.

A payload that is UTF-8 stands as text, and any other in base64, so that no byte is lost. Of the
properties, those are kept that the publisher means for the receivers (MQTT 5 §3.3.2.3); an expiry
is not, since its time is over when the message is published again. Nothing of the broker is in it.
"""

from typing import Annotated, Any, Literal

import mqtt5
import msgspec
from msgspec import Meta

from penstock.model import Message

VERSION: Literal[1] = 1
"""Goes up when a field changes its meaning or goes; new fields may come without that."""

Topic = Annotated[str, Meta(min_length=1, max_length=65_535, pattern=r"^[^+#\x00]*$")]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a capture."""

    penstock_capture: Literal[1] = VERSION
    began_at: str
    """ISO 8601, UTC."""
    filters: list[str]
    """What was subscribed to."""


class Captured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A message, as a line of a capture."""

    at_us: Annotated[int, Meta(ge=0)]
    """When it was received, since the capture began."""
    topic: Topic
    text: str | None = None
    base64: bytes | None = None
    """The payload, where it is not UTF-8; a message with neither is empty."""
    qos: Literal[0, 1] = 0
    retain: bool = False
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    """In base64."""
    user_properties: list[tuple[str, str]] = []

    @property
    def payload(self) -> bytes:
        """The payload as it was received."""
        if self.text is not None:
            return self.text.encode()
        return self.base64 or b""

    def packet(self, qos: int) -> bytes:
        """The PUBLISH packet that publishes it again at a QoS, with packet id 1 if it has one."""
        return mqtt5.PublishPacket(
            self.topic,
            self.payload,
            qos=mqtt5.QoS(qos),
            retain=self.retain,
            packet_id=1 if qos else None,
            content_type=self.content_type,
            response_topic=self.response_topic,
            correlation_data=self.correlation_data,
            user_properties=self.user_properties or None,
        ).write()


def captured(message: Message, at_us: int) -> Captured:
    """A message that was received so long after the beginning.

    One that did not come through the codec has no more than its topic, payload, QoS and correlation
    data.
    """
    payload = message.payload
    try:
        text, base64 = payload.decode() or None, None
    except UnicodeDecodeError:
        text, base64 = None, payload
    return Captured(
        at_us=at_us,
        topic=message.topic,
        text=text,
        base64=base64,
        qos=0 if message.packet_id is None else 1,
        correlation_data=message.correlation_data,
        **(_properties(message) if isinstance(message, mqtt5.PublishPacket) else {}),
    )


def _properties(packet: mqtt5.PublishPacket) -> dict[str, Any]:
    return {
        "retain": packet.retain,
        "content_type": packet.content_type,
        "response_topic": packet.response_topic,
        "user_properties": packet.user_properties or [],
    }
