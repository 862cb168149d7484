"""What is subscribed to on one connection, and the verdict of the broker on each filter.

Pure: it says what to ask for and takes the answers; packets and waiting are the caller's.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from penstock.mqtt.refusals import Refusal, subscription_refusal
from penstock.settings.tree import Mqtt

_FIXED_BYTES = 16
"""At most what a SUBSCRIBE holds besides its filters: header, identifier, property length."""


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
        self._qos = settings.qos
        self._retry_seconds = settings.reconnect_max_seconds
        self._patterns = patterns(filters, settings.share_group)
        self._unsupported: set[str] = set()
        self._unanswered: dict[int, Sequence[str]] = {}
        self._refused: dict[str, Refusal] = {}
        self._lowered: dict[str, None] = {}
        self._again_at_seconds: float | None = None

    def unsupported(self, codes: dict[str, int]) -> None:
        """Note filters that this broker ends a connection over, so that they are not asked for."""
        self._unsupported.update(codes)
        for pattern, code in codes.items():
            self._refused[pattern] = subscription_refusal(pattern, code)

    @property
    def patterns(self) -> tuple[str, ...]:
        """All filters, in order."""
        return self._patterns

    def first(self) -> list[str]:
        """The filters to subscribe to on a new connection."""
        return [pattern for pattern in self._patterns if pattern not in self._unsupported]

    def again(self, now_seconds: float) -> list[str]:
        """The refused filters, when it is time to ask for them again."""
        refused = [pattern for pattern in self._refused if pattern not in self._unsupported]
        if self._unanswered or not refused:
            return []
        if self._again_at_seconds is None:
            self._again_at_seconds = now_seconds + self._retry_seconds
        if now_seconds < self._again_at_seconds:
            return []
        self._again_at_seconds = None
        return refused

    def asked(self, packet_id: int, patterns: Sequence[str]) -> None:
        """Note that a SUBSCRIBE with this packet identifier asks for filters."""
        self._unanswered[packet_id] = patterns

    def answered(self, packet_id: int, codes: Sequence[int]) -> bool:
        """Take the reason codes of one SUBACK; whether it answers a SUBSCRIBE of ours."""
        asked = self._unanswered.pop(packet_id, ())
        if not asked or len(asked) != len(codes):
            return False
        for pattern, code in zip(asked, codes, strict=True):
            self._lowered.pop(pattern, None)
            self._refused.pop(pattern, None)
            if code >= 0x80:
                self._refused[pattern] = subscription_refusal(pattern, code)
            elif code < self._qos:
                self._lowered[pattern] = None
        return True

    def outcome(self) -> Subscribed | None:
        """What the broker granted; `None` while an answer is due."""
        if self._unanswered:
            return None
        return Subscribed(tuple(self._refused.values()), tuple(self._lowered))


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
