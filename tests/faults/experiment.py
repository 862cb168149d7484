"""What an experiment is: a number, a name, and a function that does something bad to a trial."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from tests.faults.trial import Trial

Body = Callable[[Trial], None]
BodyT = TypeVar("BodyT", bound=Body)


class Experiment(NamedTuple):
    """One of the faults that Penstock has to survive."""

    number: int
    title: str
    body: Body


class Catalogue:
    """The experiments, each under its number."""

    def __init__(self) -> None:
        self.experiments: dict[int, Experiment] = {}

    def experiment(self, number: int, title: str) -> Callable[[BodyT], BodyT]:
        """Enter a function under a number."""

        def enter(body: BodyT) -> BodyT:
            assert number not in self.experiments, f"two experiments are numbered {number}"
            self.experiments[number] = Experiment(number, title, body)
            return body

        return enter


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment showed."""

    fault: int
    title: str
    runs: int
    """How often the fault was injected."""
    acknowledged: int
    """Messages that the broker acknowledged to the publisher."""
    redelivered: int
    """Messages that the broker delivered again."""
    lost: int
    duplicates: int
    invented: int
    corrupt: int
    recovery_seconds: float | None
    """From the end of the fault until a fresh message was stored, the longest of all runs."""
    verdict: str
    """`held`, or what was not as promised."""
    took_seconds: float

    @property
    def held(self) -> bool:
        """Whether every promise was kept."""
        return self.verdict == HELD


HELD = "held"
