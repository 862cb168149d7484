"""Every message of a run in one numbering: what was sent, when, and what the broker said.

The envelopes of all lanes are counted one after the other, lane by lane; a malformed message is
known by its lane and its number in it. The ledger of lanes that never ran may be absent.
"""

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Numbers
from penstock_simulator.ledger import ACKNOWLEDGED, LaneLedger, Ledger

Flags = NDArray[np.bool_]


class Census:
    """The numbering of a ledger's messages."""

    def __init__(self, ledger: Ledger) -> None:
        self._fleet = ledger.fleet
        lanes = range(self._fleet.lanes)
        self._lanes = [ledger.lanes.get(number, LaneLedger()) for number in lanes]
        self._sent = np.array([lane.sent for lane in self._lanes], dtype=np.int64)
        self._envelopes = self._sent - self._fleet.malformed_before(self._sent)
        self._bases = np.cumsum(self._envelopes) - self._envelopes
        sizes = [len(self._fleet.lane_devices(number)) for number in lanes]
        self._sizes = np.array(sizes, dtype=np.int64)
        self.total = int(self._envelopes.sum())
        """Envelopes that were sent."""

    def find(self, device: Numbers, sequence: Numbers) -> Numbers:
        """The numbers of envelopes, or -1 where none was sent; negative inputs are in none."""
        lane = device % self._fleet.lanes
        place = sequence * self._sizes[lane] + device // self._fleet.lanes
        sent = (device >= 0) & (sequence >= 0) & (place < self._envelopes[lane])
        return np.where(sent, self._bases[lane] + place, -1)

    def was_malformed(self, lane: int, number: int) -> bool:
        """Whether a lane sent its malformed message of that number."""
        every = self._fleet.malformed_every
        return every > 0 and lane < len(self._lanes) and (number + 1) * every <= self._sent[lane]

    def acknowledged(self) -> Flags:
        """Which envelopes the broker acknowledged."""
        return np.concatenate(
            [(lane.outcome == ACKNOWLEDGED)[~self._bad(lane)] for lane in self._lanes]
        )

    def malformed_acknowledged(self) -> list[tuple[int, int]]:
        """Lane and number of the malformed messages that the broker acknowledged."""
        return [
            (number, position)
            for number, lane in enumerate(self._lanes)
            for position in np.flatnonzero((lane.outcome == ACKNOWLEDGED)[self._bad(lane)]).tolist()
        ]

    def sent_us(self) -> Numbers:
        """When each envelope was sent."""
        return np.concatenate([lane.sent_us[~self._bad(lane)] for lane in self._lanes])

    def _bad(self, lane: LaneLedger) -> Flags:
        return self._fleet.is_malformed(np.arange(lane.sent, dtype=np.int64))
