"""Counts what a broker delivers again, from the bytes that it sends."""

from collections.abc import Callable

_PUBLISH, _DUP = 0x30, 0x08


class Redeliveries:
    """Looks into any number of connections; give `watch` to a proxy."""

    def __init__(self) -> None:
        self.count = 0
        """PUBLISH packets with the DUP flag so far (MQTT 5 §3.3.1.1)."""

    def watch(self) -> Callable[[bytes], None]:
        """A watcher for one connection."""
        rest = b""

        def see(data: bytes) -> None:
            nonlocal rest
            rest = self._count(rest + data)

        return see

    def _count(self, data: bytes) -> bytes:
        """Count the whole packets, and return what follows them."""
        position = 0
        while (end := _end_of_packet(data, position)) is not None and end <= len(data):
            first = data[position]
            self.count += first & 0xF0 == _PUBLISH and bool(first & _DUP)
            position = end
        return data[position:]


def _end_of_packet(data: bytes, start: int) -> int | None:
    """Where the packet ends that begins at `start` (§2.1.4); `None` when too short to tell."""
    length = 0
    for place in range(4):
        if start + 1 + place >= len(data):
            return None
        byte = data[start + 1 + place]
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return start + 2 + place + length
    raise ValueError("a remaining length of more than four bytes")
