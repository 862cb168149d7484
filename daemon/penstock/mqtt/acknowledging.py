"""Acknowledges what one MQTT 5 connection received, each message by its QoS. Pure.

We subscribe with QoS 1 at most. Messages of QoS 2 come all the same when they were queued for an
earlier subscription of this client id, before ours lowered it; they get their own handshake.
"""

from collections.abc import Sequence

import mqtt5

from penstock.mqtt import wire


class Acknowledging:
    """Which of the messages received are of QoS 2, and the packets that answer them all."""

    def __init__(self) -> None:
        self._exactly_once: set[int] = set()

    def add_exactly_once(self, packet_id: int) -> None:
        """Note that a message has QoS 2."""
        self._exactly_once.add(packet_id)

    def packets(self, packet_ids: Sequence[int]) -> bytes:
        """A PUBACK or, for QoS 2, a PUBREC for each identifier, in this order.

        Identifier 0 is a `MalformedPacketError`: nothing can acknowledge it.
        """
        if not self._exactly_once or 0 in packet_ids:
            return wire.pubacks(packet_ids)
        return b"".join(map(self._packet, packet_ids))

    def released(self, packet: mqtt5.PubRelPacket) -> bytes:
        """The PUBCOMP that ends a handshake of QoS 2 (MQTT 5 §4.3.3)."""
        return mqtt5.PubCompPacket(packet.packet_id).write()

    def _packet(self, packet_id: int) -> bytes:
        if packet_id not in self._exactly_once:
            return mqtt5.PubAckPacket(packet_id).write()
        self._exactly_once.remove(packet_id)
        return mqtt5.PubRecPacket(packet_id).write()
