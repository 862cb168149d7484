"""A rate that is raised step by step, as a scenario or the command line asks for it.

The scenario's groups keep their proportions. Only the rate changes in such a run, because what else
delays messages would be taken for the end of what the ingestion can do: bursts, births, cuts and
disturbances of the scenario are left out.
"""

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from penstock_simulator.pace import Ramp, Rate, Span


class Ramping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From which rate to which, and how well it has to be kept up with."""

    from_rate: Rate
    """Messages a second of all groups together, in the first step."""
    to_rate: Rate
    """The same in the last one."""
    steps: Annotated[int, Meta(ge=2, le=1_000)] = 20
    """All equally long, and equally far apart."""
    within_ms: Span = 500.0
    """What 99 of 100 messages must be committed in, from when they were due."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """A ramp as the command line has it, such as 1000:40000.

        Raises:
            ValueError: it is none.
        """
        first, _, last = text.partition(":")
        try:
            ramping = cls(from_rate=float(first), to_rate=float(last))
        except ValueError:
            raise ValueError(f"{text} is no ramp: give two rates, such as 1000:40000") from None
        if fault := ramping.fault:
            raise ValueError(f"{text} is no ramp: {fault}")
        return ramping

    @property
    def fault(self) -> str | None:
        """What its rates contradict, if anything."""
        return None if 0 < self.from_rate < self.to_rate else "it must rise, from above 0"

    def pace(self, seconds: float) -> Ramp:
        """The pace of all groups together, in a run of so many seconds."""
        return Ramp(
            first=self.from_rate,
            last=self.to_rate,
            steps=self.steps,
            step_seconds=seconds / self.steps,
        )
