"""Every message of a run in one numbering: what was sent, when, and what the broker said.

The fresh messages of all lanes are counted one after the other, lane by lane; a repetition counts
as the message that it repeats, and an abuse is known by its lane and its number in it. The ledger
of lanes that never ran may be absent.
"""

import numpy as np
from numpy.typing import NDArray

from penstock_simulator import numbering
from penstock_simulator.fleet import Numbers
from penstock_simulator.ledger import ACKNOWLEDGED, LaneLedger, Ledger

Flags = NDArray[np.bool_]


class Census:
    """The numbering of a ledger's messages."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._fleet = ledger.fleet
        lanes = range(self._fleet.lanes)
        self._lanes = [ledger.lanes.get(number, LaneLedger()) for number in lanes]
        self._sent = np.array([lane.sent for lane in self._lanes], dtype=np.int64)
        self._fresh = numbering.fresh_before(self._fleet, self._sent)
        self._bases = np.cumsum(self._fresh) - self._fresh
        self.total = int(self._fresh.sum())
        """Fresh messages that were sent."""

    def find(self, device: Numbers, message: Numbers) -> Numbers:
        """The numbers of messages, or -1 where none was sent; negative inputs are in none."""
        lane = device % self._fleet.lanes
        fresh = numbering.fresh_of(self._fleet, device, message)
        sent = (device >= 0) & (message >= 0) & (fresh < self._fresh[lane])
        return np.where(sent, self._bases[lane] + fresh, -1)

    def was_abuse(self, lane: int, number: int) -> bool:
        """Whether a lane sent its abuse of that number."""
        every = self._fleet.malformed_every
        return every > 0 and lane < len(self._lanes) and (number + 1) * every <= self._sent[lane]

    def acknowledged(self) -> Flags:
        """Which messages the broker acknowledged, as such or as a repetition."""
        return np.concatenate([self._acknowledged(number) for number in range(len(self._lanes))])

    def acknowledged_abuse(self) -> list[tuple[int, int]]:
        """Lane and number of the abuses that the broker acknowledged."""
        return [
            (number, position)
            for number, lane in enumerate(self._lanes)
            for position in np.flatnonzero(
                (lane.outcome == ACKNOWLEDGED)[self._abuse(lane)]
            ).tolist()
        ]

    def due_us(self) -> Numbers:
        """When each message should have been sent first, which is when it was if nobody said."""
        times = [
            self._ledger.due_us(number)[self._fresh_slots(self._lanes[number])]
            for number in range(self._fleet.lanes)
            if number in self._ledger.lanes
        ]
        return np.concatenate([np.zeros(0, dtype=np.int64), *times])

    def tenants(self) -> Numbers:
        """The number of each message's tenant."""
        numbers = [
            numbering.places(self._fleet, np.array(number), self._fresh_slots(lane)).device
            % self._fleet.tenants
            for number, lane in enumerate(self._lanes)
        ]
        return np.concatenate(numbers)

    def tenant_of_abuse(self, lane: int, number: int) -> int:
        """The number of the tenant in whose name an abuse was sent."""
        devices = numbering.abuse_devices(self._fleet, np.array([lane]), np.array([number]))
        return int(devices[0]) % self._fleet.tenants

    def published_by_tenant(self) -> tuple[Numbers, Numbers]:
        """How many messages each tenant sent, and how many of them the broker acknowledged."""
        sent = np.zeros(self._fleet.tenants, dtype=np.int64)
        acknowledged = np.zeros_like(sent)
        for number, lane in enumerate(self._lanes):
            tenants = self._devices(number, lane) % self._fleet.tenants
            sent += np.bincount(tenants, minlength=len(sent))
            known = tenants[lane.outcome == ACKNOWLEDGED]
            acknowledged += np.bincount(known, minlength=len(sent))
        return sent, acknowledged

    def _acknowledged(self, number: int) -> Flags:
        lane = self._lanes[number]
        acknowledged: Flags = lane.outcome == ACKNOWLEDGED
        flags: Flags = acknowledged[self._fresh_slots(lane)]
        slots, of = numbering.repetitions(self._fleet, number, lane.sent)
        flags[of[acknowledged[slots]]] = True
        return flags

    def _devices(self, number: int, lane: LaneLedger) -> Numbers:
        slots = np.arange(lane.sent, dtype=np.int64)
        abuse = self._abuse(lane)
        devices = np.zeros_like(slots)
        lanes = np.array(number)
        devices[~abuse] = numbering.places(self._fleet, lanes, slots[~abuse]).device
        count = np.arange(int(abuse.sum()), dtype=np.int64)
        devices[abuse] = numbering.abuse_devices(self._fleet, lanes, count)
        return devices

    def _abuse(self, lane: LaneLedger) -> Flags:
        return numbering.is_abuse(self._fleet, np.arange(lane.sent, dtype=np.int64))

    def _fresh_slots(self, lane: LaneLedger) -> Numbers:
        count = numbering.fresh_before(self._fleet, np.array([lane.sent], dtype=np.int64))
        return numbering.fresh_slots(self._fleet, np.arange(int(count[0]), dtype=np.int64))
