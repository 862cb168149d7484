"""What is subscribed to on one connection: share prefix, SUBSCRIBE packets, the broker's verdicts.

Pure: it makes packets and takes answers; nothing here waits or sends.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import mqtt5

from penstock.mqtt.refusals import (
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
    Refusal,
    subscription_refusal,
)
from penstock.settings.tree import Mqtt

_FIXED_BYTES = 16
"""At most what a SUBSCRIBE holds besides its filters: header, identifier, property length."""

_RETAIN_HANDLING = {
    "never": mqtt5.RetainHandling.SEND_NEVER,
    "new": mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
    "always": mqtt5.RetainHandling.SEND_ALWAYS,
}


class Subscribed(NamedTuple):
    """The broker answered for every filter."""

    refused: tuple[Refusal, ...]
    lowered: tuple[str, ...]
    """Filters granted at a lower QoS than asked for: their messages can be lost in the broker."""


class Subscriptions:
    """The filters of one connection, what the broker says to each, and when to ask again.

    A refused filter is asked for again on the same connection: the others go on, and the broker's
    access rules can change without it ending any connection.
    """

    def __init__(self, settings: Mqtt, filters: Sequence[str]) -> None:
        self._settings = settings
        self._patterns = patterns(filters, settings.share_group)
        self._largest_packet_bytes: int | None = None
        self._unsupported: dict[str, int] = {}
        self._last_packet_id = 0
        self._unanswered: dict[int, list[str]] = {}
        self._refused: dict[str, Refusal] = {}
        self._lowered: dict[str, None] = {}
        self._again_at_seconds: float | None = None

    def first(self, connack: mqtt5.ConnAckPacket) -> list[bytes]:
        """SUBSCRIBE packets for every filter that this broker can do."""
        self._largest_packet_bytes = connack.max_packet_size
        self._unsupported = {
            pattern: code for pattern in self._patterns if (code := _unsupported(pattern, connack))
        }
        for pattern, code in self._unsupported.items():
            self._refused[pattern] = subscription_refusal(pattern, code)
        return self._subscribe(p for p in self._patterns if p not in self._unsupported)

    def again(self, now_seconds: float) -> list[bytes]:
        """SUBSCRIBE packets for refused filters, when it is time to ask for them again."""
        refused = [pattern for pattern in self._refused if pattern not in self._unsupported]
        if self._unanswered or not refused:
            return []
        if self._again_at_seconds is None:
            self._again_at_seconds = now_seconds + self._settings.reconnect_max_seconds
        if now_seconds < self._again_at_seconds:
            return []
        self._again_at_seconds = None
        return self._subscribe(refused)

    def answered(self, packet: mqtt5.SubAckPacket) -> bool:
        """Take a SUBACK; whether it fits a SUBSCRIBE of ours."""
        asked = self._unanswered.pop(packet.packet_id, [])
        if not asked or len(asked) != len(packet.reason_codes):
            return False
        for pattern, code in zip(asked, map(int, packet.reason_codes), strict=True):
            self._lowered.pop(pattern, None)
            self._refused.pop(pattern, None)
            if code >= 0x80:
                self._refused[pattern] = subscription_refusal(pattern, code)
            elif code < self._settings.qos:
                self._lowered[pattern] = None
        return True

    def outcome(self) -> Subscribed | None:
        """What the broker granted; `None` while an answer is due."""
        if self._unanswered:
            return None
        return Subscribed(tuple(self._refused.values()), tuple(self._lowered))

    def _subscribe(self, wanted: Iterable[str]) -> list[bytes]:
        packets = []
        for group in in_packets(wanted, self._largest_packet_bytes):
            self._last_packet_id += 1
            self._unanswered[self._last_packet_id] = group
            filters = [self._filter(pattern) for pattern in group]
            packets.append(mqtt5.SubscribePacket(self._last_packet_id, filters).write())
        return packets

    def _filter(self, pattern: str) -> mqtt5.TopicFilter:
        return mqtt5.TopicFilter(
            pattern,
            max_qos=mqtt5.QoS(self._settings.qos),
            retain_handling=_RETAIN_HANDLING[self._settings.retained],
        )


def patterns(filters: Sequence[str], share_group: str | None) -> tuple[str, ...]:
    """Each filter once, in order; shared (MQTT 5 §4.8.2) when a group is given."""
    prefix = f"$share/{share_group}/" if share_group else ""
    return tuple(prefix + pattern for pattern in dict.fromkeys(filters))


def in_packets(wanted: Iterable[str], largest_packet_bytes: int | None) -> Iterator[list[str]]:
    """Divide filters so that each SUBSCRIBE is within the broker's limit, if it has one.

    A filter that is too long by itself still gets a packet: the broker's refusal names it.
    """
    limit = (largest_packet_bytes or 268_435_455) - _FIXED_BYTES
    group: list[str] = []
    room = limit
    for pattern in wanted:
        size = len(pattern.encode()) + 3
        if group and size > room:
            yield group
            group, room = [], limit
        group.append(pattern)
        room -= size
    if group:
        yield group


def _unsupported(pattern: str, connack: mqtt5.ConnAckPacket) -> int | None:
    """The code with which this broker would end the connection over a filter (MQTT 5 §3.2.2.3)."""
    if pattern.startswith("$share/") and not connack.shared_subscription_available:
        return SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if not connack.wildcard_subscription_available and any(sign in pattern for sign in "+#"):
        return WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED
    return None
