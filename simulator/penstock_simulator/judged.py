"""What was found in a database of all groups of a run."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from penstock_simulator.account import Account, Latency, combined
from penstock_simulator.judge import Judge


class Judged(NamedTuple):
    """What was found in the database."""

    judges: Mapping[str, Judge]
    """By group."""
    accounts: Mapping[str, Account]

    @classmethod
    def of(cls, judges: Mapping[str, Judge]) -> "Judged":
        """The verdicts of judges that have been fed."""
        return cls(judges, {name: judge.account() for name, judge in judges.items()})

    @property
    def account(self) -> Account:
        """Of all groups together."""
        waits_us = np.concatenate([judge.waits() for judge in self.judges.values()])
        return combined(list(self.accounts.values()), Latency.of(waits_us))
