"""What all benchmarks have in common: how they are asked, and what they answer.

A benchmark is a module with a function `Context → Result`, entered in `catalogue`. It measures all
its subjects in one run, taking turns, several windows of each, and says which windows are void. Its
answer holds every figure for JSON, and tables, charts and goals for people; none of it is written
by the benchmark itself.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from rich.console import Console

MEBIBYTE = 1_048_576


class BenchError(Exception):
    """A measurement could not be made, or what was stored does not add up."""


class Context(NamedTuple):
    """How to measure."""

    console: Console
    seconds: float
    """Length of each window, where windows are measured by time."""
    runs: int
    """Windows of each subject."""
    outage_seconds: float = 20.0
    """Length of an outage, where there is one."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and what it should be at least or at most."""

    what: str
    figure: float
    bound: float
    better: Literal["higher", "lower"] = "higher"
    void: bool = False
    """Whether it rests on windows that do not count."""

    @property
    def met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.figure >= self.bound if self.better == "higher" else self.figure <= self.bound


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Columns are headed by what they hold, with the unit; cells are texts, ready to read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Bars in groups, or lines over a common axis."""

    name: str
    """Of its file, without the ending."""
    title: str
    unit: str
    """Of the figures."""
    places: Sequence[str | float]
    """Names of the groups of bars, or positions of the points."""
    series: Mapping[str, Sequence[float]]
    """By name, a figure for each place."""
    kind: Literal["bars", "lines"] = "bars"
    place_unit: str = ""
    bound: float | None = None
    """The goal, drawn as a line."""
    logarithmic: bool = False
    """Whether the positions are, for lines."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a benchmark found."""

    figures: dict[str, Any]
    tables: Sequence[Table]
    voids: Sequence[str]
    """Whose windows do not count, and how many of them; see `void_windows`."""
    goals: Sequence[Goal] = ()
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()
    """What a reader should know, in sentences; of a goal that is missed, the reason."""


class Benchmark(NamedTuple):
    """An entry of the catalogue."""

    title: str
    measure: Callable[[Context], Result]
    minutes: float = 5.0
    """How long it takes, about, unless it is asked otherwise."""


class Window(Protocol):
    """What was measured once."""

    @property
    def void(self) -> bool:
        """Whether it does not count."""
        ...


K = TypeVar("K")
W = TypeVar("W", bound=Window)


def counted(windows: Sequence[W]) -> Sequence[W]:
    """The windows that count, or all of them if none does."""
    return [window for window in windows if not window.void] or windows


def median(windows: Sequence[W], figure: Callable[[W], float]) -> float:
    """The median of a figure over the windows that count, or over all if none does."""
    return statistics.median(map(figure, counted(windows)))


def best_counted(windows: Mapping[K, Sequence[W]], figure: Mapping[K, float]) -> K:
    """What has the highest figure of all that have a window that counts, or of all if none has."""
    sound = [name for name, taken in windows.items() if not is_void(taken)]
    return max(sound or windows, key=lambda name: figure[name])


def is_void(windows: Iterable[Window]) -> bool:
    """Whether no window counts."""
    return all(window.void for window in windows)


def void_windows(windows: Mapping[str, Sequence[Window]]) -> list[str]:
    """What to say of the windows that do not count, by the names of what was measured."""
    counts = {
        name: (sum(window.void for window in taken), len(taken)) for name, taken in windows.items()
    }
    return [f"{name}: {void} of {all_}" for name, (void, all_) in counts.items() if void]
