"""What a run of a scenario is to do, and what it is to load."""

from typing import NamedTuple

from penstock_simulator.pace import Ramp
from penstock_simulator.ramping import Ramping
from penstock_simulator.sampling import Sources
from penstock_simulator.scenario_files import Found
from penstock_simulator.stack import Stack


class Loaded(NamedTuple):
    """What is loaded, as far as it is known."""

    url: str
    """The broker's."""
    sources: Sources
    dsn: str | None = None
    """The database to judge."""
    stack: Stack | None = None
    """All of it, when it is our own."""


class Plan(NamedTuple):
    """What to publish."""

    found: Found
    rate: float
    """Messages a second of all groups together; the last ones of a ramp."""
    seconds: float
    """How long; 0 for until a signal."""
    seed: int
    ramping: Ramping | None = None
    """Raise the rate step by step; the scenario must be `level` then."""

    @property
    def ramp(self) -> Ramp | None:
        """The pace of all groups together, where it is a ramp."""
        return None if self.ramping is None else self.ramping.pace(self.seconds)

    @property
    def remark(self) -> str:
        """What is otherwise than the scenario's story says, in a sentence."""
        ramping = self.ramping
        if ramping is None:
            return ""
        return (
            f"Its rate is raised from {ramping.from_rate:,.0f} to {ramping.to_rate:,.0f}"
            " messages a second, and bursts, births, cuts and disturbances are left out."
        )
