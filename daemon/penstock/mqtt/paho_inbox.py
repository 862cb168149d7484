"""Messages that paho has read and the receiver has not, and their acknowledgement.

They are taken past aiomqtt's queue and its objects. What always holds: they come out in the order
received, and none is acknowledged that nobody told to, but for retained ones that nobody wants.
"""

from collections.abc import Sequence

from paho.mqtt.client import Client, MQTTMessage

from penstock.model import Message
from penstock.mqtt.wire import PlainMessage
from penstock.settings.tree import Mqtt


class PahoInbox:
    """The messages of one connection."""

    def __init__(self, client: Client, settings: Mqtt) -> None:
        self._client = client
        self._settings = settings
        self._messages: list[Message] = []
        self._size_bytes = 0
        self._exactly_once: set[int] = set()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: MQTTMessage, *, session_present: bool) -> None:
        """Take in a message, or pass over a retained one that nobody asked for."""
        if message.retain and self._is_unwanted(session_present=session_present):
            # Out of turn with regard to [MQTT-4.6.0-2], as no broker minds: it is never stored.
            self._client.ack(message.mid, message.qos)
            return
        if message.qos == 2:
            self._exactly_once.add(message.mid)
        topic: bytes = message._topic  # noqa: SLF001 - its property raises on what is not UTF-8
        self._size_bytes += len(topic) + len(message.payload)
        self._messages.append(
            PlainMessage(
                topic=str(topic, "utf-8", "replace"),
                payload=bytes(message.payload),
                packet_id=message.mid if message.qos else None,
                correlation_data=getattr(message.properties, "CorrelationData", None),
            )
        )

    def take(self) -> tuple[int, Sequence[Message]]:
        """The messages, and how many bytes their topics and payloads have together."""
        size_bytes, messages = self._size_bytes, self._messages
        self._size_bytes, self._messages = 0, []
        return size_bytes, messages

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send acknowledgements in this order."""
        for packet_id in packet_ids:
            exactly_once = packet_id in self._exactly_once
            self._exactly_once.discard(packet_id)
            self._client.ack(packet_id, 2 if exactly_once else 1)

    def _is_unwanted(self, *, session_present: bool) -> bool:
        """MQTT 3.1.1 has no retain handling: each SUBSCRIBE brings what is retained (§3.8.4)."""
        if self._settings.protocol == "5" or self._settings.retained == "always":
            return False
        return self._settings.retained == "never" or session_present
