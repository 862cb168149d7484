"""Joins what arrives in pieces into whole packets, trying a large one only when all of it is there.

What always holds: bytes come out in the order in which they went in. A packet longer than the limit
is shortened as it streams in, so that no sender decides how much memory is used; nothing else is
changed.
"""

from penstock.mqtt import wire

_BEFORE_PAYLOAD_BYTES = 131_072
"""What is kept of a PUBLISH for its header, topic and properties."""


class Chunks:
    """The unfinished packet at the end of what was received on one connection.

    A PUBLISH that comes in pieces and is much longer than `largest_payload_bytes` keeps so much of
    its payload; or nothing of it, if it is the properties that are so long.
    """

    def __init__(self, largest_payload_bytes: int) -> None:
        self._largest_payload_bytes = largest_payload_bytes
        self._most_bytes = largest_payload_bytes + _BEFORE_PAYLOAD_BYTES
        self._parts: list[bytes] = []
        self._kept_bytes = 0
        self._received_bytes = 0
        self._needed_bytes = 0

    def joined(self, data: bytes) -> bytes | None:
        """The bytes to parse, now that `data` came; `None` while the first packet is unfinished."""
        if not self._parts:
            return data
        missing = self._needed_bytes - self._received_bytes
        if len(data) < missing:
            self._add(data)
            return None
        if self._needed_bytes <= self._most_bytes:
            self._parts.append(data)
            return self._take()
        self._add(data[:missing])
        return wire.cut(self._take(), self._largest_payload_bytes) + data[missing:]

    def keep(self, rest: bytes) -> None:
        """Keep the beginning of a packet until the rest of it comes.

        A header that is no MQTT, or a packet that was whole already, is a `MalformedPacketError`.
        """
        length = wire.packet_bytes(memoryview(rest))
        if length is not None and length <= len(rest):
            raise wire.MalformedPacketError("its content ends before it should")
        self._needed_bytes = len(rest) + 1 if length is None else length
        self._add(rest)

    def _add(self, data: bytes) -> None:
        self._received_bytes += len(data)
        room = self._most_bytes - self._kept_bytes
        if room > 0:
            self._parts.append(data[:room])
            self._kept_bytes += len(self._parts[-1])

    def _take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self._kept_bytes = self._received_bytes = 0
        return data
