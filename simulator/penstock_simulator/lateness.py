"""How late every message of a ledger was, from the moment it should have been sent.

Counting from the schedule rather than from the socket is what keeps out coordinated omission: a
message that had to wait because the ones before it did is late by all of that.
"""

from typing import NamedTuple

import numpy as np

from penstock_simulator.fleet import Numbers
from penstock_simulator.ledger import ACKNOWLEDGED, Ledger

NEVER = -1


class Lateness(NamedTuple):
    """All messages of a run in columns, lane by lane; times in µs since the Unix epoch."""

    due_us: Numbers
    sent_us: Numbers
    acknowledged_us: Numbers
    """NEVER where the broker has not acknowledged the message."""

    @property
    def unsent_us(self) -> Numbers:
        """How long after it was due each message was handed to the socket."""
        unsent: Numbers = self.sent_us - self.due_us
        return unsent

    @property
    def puback_us(self) -> Numbers:
        """From due to acknowledged, of the messages that were."""
        known = self.acknowledged_us != NEVER
        waited: Numbers = self.acknowledged_us[known] - self.due_us[known]
        return waited


def lateness_of(ledger: Ledger) -> Lateness:
    """The times of all messages that a ledger has."""
    return Lateness(
        _joined([ledger.due_us(number) for number in ledger.lanes]),
        _joined([lane.sent_us for lane in ledger.lanes.values()]),
        _joined(
            [
                np.where(lane.outcome == ACKNOWLEDGED, lane.answered_us, NEVER)
                for lane in ledger.lanes.values()
            ]
        ),
    )


def _joined(parts: list[Numbers]) -> Numbers:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
