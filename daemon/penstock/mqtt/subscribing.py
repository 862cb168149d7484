"""Subscribes on one MQTT 5 connection: SUBSCRIBE packets out, SUBACK packets in. Pure.

A session that the broker kept holds the subscriptions of earlier configurations, and MQTT cannot
list them: a filter that left the configuration goes on delivering, and its messages end as
`unknown_route`, until it is unsubscribed or `mqtt.client_id` is changed. Present filters are
subscribed anew on every connection, which repairs their options and, unless `mqtt.retained` is
`always`, sends nothing again.
"""

from collections.abc import Sequence

import mqtt5

from penstock.mqtt import handshake
from penstock.mqtt.subscriptions import Subscribed, Subscriptions, in_packets
from penstock.settings.tree import Mqtt


class Subscribing:
    """The filters of one connection, and the packets about them."""

    def __init__(self, settings: Mqtt, filters: Sequence[str]) -> None:
        self._settings = settings
        self._subscriptions = Subscriptions(settings, filters)
        self._largest_packet_bytes: int | None = None
        self._last_packet_id = 0

    def begin(self, connack: mqtt5.ConnAckPacket) -> list[bytes]:
        """The packets that subscribe to everything that this broker admits."""
        self._largest_packet_bytes = connack.max_packet_size
        subscriptions = self._subscriptions
        subscriptions.unsupported(handshake.unsupported(connack, subscriptions.patterns))
        return self._packets(subscriptions.first())

    def again(self, now_seconds: float) -> list[bytes]:
        """The packets that ask again for refused filters, when it is time."""
        return self._packets(self._subscriptions.again(now_seconds))

    def answered(self, packet: mqtt5.SubAckPacket) -> bool:
        """Take a SUBACK; whether it answers a SUBSCRIBE of ours."""
        codes = [int(code) for code in packet.reason_codes]
        return self._subscriptions.answered(packet.packet_id, codes)

    def outcome(self) -> Subscribed | None:
        """What the broker granted; `None` while an answer is due."""
        return self._subscriptions.outcome()

    def _packets(self, wanted: Sequence[str]) -> list[bytes]:
        packets = []
        for asked in in_packets(wanted, self._largest_packet_bytes):
            self._last_packet_id = self._last_packet_id % 65_535 + 1  # never 0 (MQTT 5 §2.2.1)
            self._subscriptions.asked(self._last_packet_id, asked)
            packets.append(handshake.subscribe(self._settings, self._last_packet_id, asked))
        return packets
