"""One connection's stream of messages: what to send next, and what an acknowledgement means.

No I/O happens here. What always holds: slots are sent in order; no more of them await a PUBACK
than the broker's Receive Maximum (MQTT 5 §3.3.4); packet ids go round with the slots, and never
is one reused that is still in flight; after a reconnect every slot that was not acknowledged goes
out again before a new one does (§4.4), with DUP set.
"""

from typing import Protocol

import numpy as np

from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.ledger import ACKNOWLEDGED, REFUSED, WAITING, LaneLedger
from penstock_simulator.packets import PACKET_IDS, Block, LaneEncoder

_MOST_BLOCK_SLOTS = 1_024
_MOST_BLOCK_BYTES = 1_048_576

_LEAST_BLOCK_SLOTS = 4
_REPEAT_SLOTS = 256


class Encoder(Protocol):
    """Makes the packets of a lane; those of a slot are the same each time, apart from DUP."""

    @property
    def packet_bytes(self) -> int:
        """Length of a packet, or about the mean."""
        ...

    def block(self, first: int, stop: int, *, duplicate: bool = False) -> Block:
        """The packets of slots `first` to `stop`, at least the first of them.

        With `duplicate` they are all there, as sent again.
        """
        ...


class Lane:
    """A lane on its way to the broker.

    Args:
        encoder: what is published.
        number: which lane it is of all.
        qos: of all its messages.
        block_bytes: how much is encoded at a time, about, be it due or not.
    """

    def __init__(
        self, encoder: Encoder, number: int, *, qos: int, block_bytes: int = _MOST_BLOCK_BYTES
    ) -> None:
        self.number = number
        self.ledger = LaneLedger()
        self.refused = 0
        """Messages that the broker answered with a reason of failure."""
        self._encoder = encoder
        packet_bytes = encoder.packet_bytes
        self._most_slots = min(_MOST_BLOCK_SLOTS, max(1, _MOST_BLOCK_BYTES // packet_bytes))
        self._least_slots = min(
            self._most_slots, max(_LEAST_BLOCK_SLOTS, block_bytes // packet_bytes)
        )
        self._at_least_once = qos > 0
        self._window = PACKET_IDS
        self._cursor = 0
        self._oldest = 0
        self._block: Block | None = None

    @classmethod
    def of(cls, fleet: Fleet, number: int, *, block_bytes: int = _MOST_BLOCK_BYTES) -> "Lane":
        """A lane of a fleet."""
        encoder = LaneEncoder(fleet, number)
        return cls(encoder, number, qos=fleet.qos, block_bytes=block_bytes)

    @property
    def sent(self) -> int:
        """Slots that were sent at least once."""
        return self.ledger.sent

    @property
    def waiting(self) -> int:
        """Slots from the oldest unacknowledged one on; 0 at QoS 0."""
        return self.sent - self._oldest if self._at_least_once else 0

    @property
    def to_repeat(self) -> int:
        """Slots at most that have to be sent again on this connection."""
        return self.sent - self._cursor

    @property
    def room(self) -> int:
        """How many more slots the broker takes now."""
        if not self._at_least_once:
            return PACKET_IDS
        return self._window - (self._cursor - self._oldest)

    @property
    def empty(self) -> bool:
        """Whether the next new packet has not been encoded yet."""
        return self._block is None or self.sent >= self._block.stop

    def block_size(self, count: int) -> int:
        """How many slots to encode at once when `count` are due."""
        return max(self._least_slots, min(count, self._most_slots))

    def stock(self, block: Block) -> None:
        """Hand over the next new packets, encoded elsewhere; they begin at slot `sent`."""
        self._block = block

    def connected(self, receive_maximum: int) -> None:
        """Start over on a new connection, with what was not acknowledged on the one before."""
        self._window = min(receive_maximum, PACKET_IDS)
        if self._at_least_once:
            self._cursor = self._oldest

    def repeat(self) -> bytes:
        """Some of the packets that have to be sent again; empty when the broker takes none now."""
        start = self._cursor
        stop = min(self.sent, start + min(self.room, _REPEAT_SLOTS))
        if stop <= start:
            return b""
        block = self._encoder.block(start, stop, duplicate=True)
        self._cursor = stop
        pending = np.flatnonzero(self.ledger.outcome[start:stop] == WAITING) + start
        return b"".join(block.cut(slot, slot + 1) for slot in pending.tolist())

    def take(self, count: int, now_us: int) -> memoryview:
        """The next new packets: `count` of them, or fewer; noted as sent now.

        Only to be called with room for them and nothing to repeat.
        """
        block = self._block
        if block is None or not block.first <= self._cursor < block.stop:
            stop = self._cursor + self.block_size(count)
            block = self._block = self._encoder.block(self._cursor, stop)
        start = self._cursor
        stop = min(start + count, block.stop)
        self._cursor = stop
        self.ledger.append(stop - start, now_us)
        return block.cut(start, stop)

    def acknowledge(self, packet_ids: Numbers, now_us: int) -> None:
        """Note that the broker took packets; ids that are not in flight are ignored."""
        self._settle(packet_ids, ACKNOWLEDGED, now_us)

    def acknowledge_one(self, packet_id: int, now_us: int) -> None:
        """The same for one packet, at a tenth of the cost."""
        outcome, slot = self.ledger.outcome, self._slot_of(packet_id)
        if slot >= self.sent or outcome[slot] != WAITING:
            return
        self.ledger.settle(slot, ACKNOWLEDGED, now_us)
        if slot == self._oldest:
            self._forget_settled()

    def refuse(self, packet_ids: Numbers, now_us: int) -> None:
        """Note that the broker answered with a reason of failure; they are not sent again."""
        self.refused += self._settle(packet_ids, REFUSED, now_us)

    def _settle(self, packet_ids: Numbers, outcome: int, now_us: int) -> int:
        if not len(packet_ids):
            return 0
        slots = self._oldest + (packet_ids - 1 - self._oldest) % PACKET_IDS
        slots = slots[slots < self.sent]
        slots = slots[self.ledger.outcome[slots] == WAITING]
        self.ledger.settle(slots, outcome, now_us)
        self._forget_settled()
        return len(slots)

    def _slot_of(self, packet_id: int) -> int:
        """The only slot from the oldest one on that can be in flight with this id."""
        return self._oldest + (packet_id - 1 - self._oldest) % PACKET_IDS

    def _forget_settled(self) -> None:
        pending = self.ledger.outcome[self._oldest :]
        if len(pending):
            first = int(pending.argmin())
            self._oldest = self._oldest + first if pending[first] == WAITING else self.sent
        self._cursor = max(self._cursor, self._oldest)
