"""Makes few values of many, so that a chart of a long run has no more than can be seen."""

from collections.abc import Callable, Iterable, Sequence

MOST_POINTS = 200

Reduce = Callable[[Iterable[float]], float]


def stride(count: int) -> int:
    """How many values become one."""
    return max(1, -(-count // MOST_POINTS))


def thinned(values: Sequence[float | None], every: int, reduce: Reduce) -> list[float | None]:
    """One value for each `every`; None where all of them are."""
    few: list[float | None] = []
    for start in range(0, len(values), every):
        known = [value for value in values[start : start + every] if value is not None]
        few.append(reduce(known) if known else None)
    return few


def mean(values: Iterable[float]) -> float:
    """The mean of at least one value."""
    known = list(values)
    return sum(known) / len(known)
