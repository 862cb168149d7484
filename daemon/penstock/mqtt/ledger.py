"""Decides which acknowledgements may leave, and in which order.

Batches are sealed in the order of receipt and committed in any order. A PUBACK must leave in the
order in which its PUBLISH came (MQTT 5 §4.6, [MQTT-4.6.0-2]), so a batch that is committed early
waits here for those before it.

What always holds: an acknowledgement is released at most once, only after its batch was completed,
and never before one that was received earlier. Nothing here knows of sockets or time.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class Release(NamedTuple):
    """Packets to acknowledge now, in this order, on the connection that delivered them."""

    connection: int
    packet_ids: Sequence[int]


class _Entry:
    """A sealed batch that has not been released."""

    __slots__ = ("completed", "connection", "number", "packet_ids")

    def __init__(self, number: int, connection: int, packet_ids: Sequence[int]) -> None:
        self.number = number
        self.connection = connection
        self.packet_ids = packet_ids
        self.completed = False


class AckLedger:
    """The batches between their sealing and the release of their acknowledgements."""

    def __init__(self) -> None:
        self._in_order: deque[_Entry] = deque()
        self._by_number: dict[int, _Entry] = {}
        self._last_sealed = 0
        self._last_lost = 0
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Packets that can still be acknowledged and have not been released."""
        return self._in_flight

    @property
    def batches(self) -> int:
        """Batches that have not been released, those without a packet to acknowledge included."""
        return len(self._in_order)

    def sealed(self, batch_number: int, connection: int, packet_ids: Sequence[int]) -> None:
        """Note a batch, with the packets to acknowledge once it is completed; there may be none.

        Batches are noted in the order of receipt: a number that does not rise is a `ValueError`.
        """
        if batch_number <= self._last_sealed:
            raise ValueError(
                f"batch {batch_number} was sealed after batch {self._last_sealed}: "
                "batches are noted in the order of receipt, each once"
            )
        self._last_sealed = batch_number
        entry = _Entry(batch_number, connection, packet_ids if connection > self._last_lost else ())
        self._in_order.append(entry)
        self._by_number[batch_number] = entry
        self._in_flight += len(entry.packet_ids)

    def completed(self, batch_number: int) -> list[Release]:
        """Note that a batch is safe, and return what may be acknowledged now, in order.

        A batch that was never sealed, or is completed a second time, is a `ValueError`.
        """
        entry = self._by_number.pop(batch_number, None)
        if entry is None:
            never = batch_number > self._last_sealed
            raise ValueError(
                f"batch {batch_number} was {'never sealed' if never else 'completed before'}"
            )
        entry.completed = True
        return self._release()

    def connection_lost(self, connection: int) -> None:
        """Forget the packets of `connection` and of those before it: the broker sends them again.

        Their batches keep their place in the order, and may still be sealed and completed.
        """
        self._last_lost = max(self._last_lost, connection)
        for entry in self._in_order:
            if entry.connection <= connection:
                self._in_flight -= len(entry.packet_ids)
                entry.packet_ids = ()

    def _release(self) -> list[Release]:
        releases = []
        while self._in_order and self._in_order[0].completed:
            entry = self._in_order.popleft()
            if entry.packet_ids:
                self._in_flight -= len(entry.packet_ids)
                releases.append(Release(entry.connection, entry.packet_ids))
        return releases
