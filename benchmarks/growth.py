"""What a message costs, and how many a second there are, as everything around it grows.

Four axes, one at a time, from the same middle: devices, of three metrics each; tenants and routes,
over which the same thousand devices are spread; and days of chunks in the table. The cost is the
processor time of the daemon in saturation, and beside it that of the database server, whose indexes
do grow. A goal is for the dearest ÷ the cheapest scale of an axis.

The way from the session to the sealed batch is measured alone as well, which is precise where a
whole daemon is not. What becomes dearer there does so because less of it is in the processor's
caches.

That a device is heard for the first time costs more, and once: it is told apart. Readings that are
spread over all days are told as well; no goal is for them, because each batch then goes into ninety
tables.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.frame import (
    MEBIBYTE,
    Chart,
    Context,
    Goal,
    Result,
    Table,
    counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.growth_path import PathCost, PathFeed
from benchmarks.growth_scale import Scale
from benchmarks.growth_window import Cost, measure_scale
from benchmarks.subjects import servers

MOST_RATIO = 1.2

_HOW = (
    "The database's cost rises with the readings that a series has had today, because a batch then"
    " meets more leaves of the index; in so short a window these are few where devices are many,"
    " and so it is lower there than after a day."
)
_WHY = (
    "With the number of devices a message becomes dearer because what is known of its device is no"
    " longer in the processor's caches; [the profile](profile.md#growth) says where."
)


class Axis(NamedTuple):
    """What grows."""

    name: str
    scales: Mapping[int, Scale]
    """By how large they are along this axis."""


AXES = (
    Axis("devices", {n: Scale(devices=n) for n in (10, 100, 1_000, 10_000, 100_000)}),
    Axis("tenants", {n: Scale(tenants=n) for n in (1, 10, 100, 1_000)}),
    Axis("routes", {n: Scale(routes=n) for n in (1, 10, 100, 1_000)}),
    Axis("days of chunks", {n: Scale(days=n) for n in (1, 30, 90)}),
)
SPREAD = Scale(days=90, spread=True)
LARGEST = Scale(devices=100_000)

Windows = Mapping[Scale, Sequence[Cost]]
Paths = Mapping[Scale, Sequence[PathCost]]


def measure_growth(context: Context) -> Result:
    """Measure every scale in turn; what two axes have in common, once."""
    scales = dict.fromkeys([*(scale for axis in AXES for scale in axis.scales.values()), SPREAD])
    windows: dict[Scale, list[Cost]] = {scale: [] for scale in scales}
    with servers() as bench:
        for run in range(context.runs):
            for scale in scales:
                cost = measure_scale(bench, scale, seconds=context.seconds)
                windows[scale].append(cost)
                _tell(context, run, scale, cost)
    return result_of(windows, measure_paths([s for s in scales if s.days == 1], context.runs))


def measure_paths(scales: Sequence[Scale], runs: int) -> Paths:
    """Measure the path alone at each scale in turn."""
    # The largest last: what it leaves of the heap would tear apart what belongs together.
    feeds = {scale: PathFeed(scale) for scale in sorted(scales)}
    windows: dict[Scale, list[PathCost]] = {scale: [] for scale in feeds}
    for _ in range(runs):
        for scale, feed in feeds.items():
            windows[scale].append(feed.window())
    return windows


def _tell(context: Context, run: int, scale: Scale, cost: Cost) -> None:
    context.console.print(
        f"run {run + 1}, {scale.name}: {cost.messages_per_second:,.0f} messages/s;"
        f" {cost.daemon_us:.2f} µs of CPU a message, the database's {_us(cost.database_us)};"
        f" {cost.resident_bytes / MEBIBYTE:.0f} MiB{cost.remark}",
        soft_wrap=True,
    )


class _Figures(NamedTuple):
    rate: float
    daemon_us: float
    database_us: float | None
    mebibytes: float
    void: bool


def result_of(windows: Windows, paths: Paths) -> Result:
    """Medians by axis, and how far apart the costs of an axis are."""
    figures = {scale: _figures(taken) for scale, taken in windows.items()}
    alone = {scale: median(taken, lambda cost: cost.us) for scale, taken in paths.items()}
    return Result(
        figures={axis.name: _axis_figures(axis, figures) for axis in AXES}
        | {
            "spread over 90 days": _report(figures[SPREAD]),
            "path_us_per_message": {scale.name: round(us, 2) for scale, us in alone.items()},
        },
        tables=[*(_table(axis, figures) for axis in AXES), _path_table(alone)],
        goals=[_goal(axis, figures) for axis in AXES],
        charts=[_chart(axis, figures) for axis in AXES],
        voids=void_windows({scale.name: taken for scale, taken in windows.items()}),
        notes=[_WHY, _HOW, _first_sight(windows[LARGEST]), _spread(figures[SPREAD])],
    )


def _figures(taken: Sequence[Cost]) -> _Figures:
    ours = all(cost.database_us is not None for cost in taken)
    return _Figures(
        median(taken, lambda cost: cost.messages_per_second),
        median(taken, lambda cost: cost.daemon_us),
        median(taken, lambda cost: cost.database_us or 0.0) if ours else None,
        max(cost.resident_bytes for cost in counted(taken)) / MEBIBYTE,
        is_void(taken),
    )


def _along(axis: Axis, figures: Mapping[Scale, _Figures]) -> dict[int, _Figures]:
    return {size: figures[scale] for size, scale in axis.scales.items()}


def _axis_figures(axis: Axis, figures: Mapping[Scale, _Figures]) -> dict[str, dict[str, object]]:
    return {str(size): _report(each) for size, each in _along(axis, figures).items()}


def _report(figures: _Figures) -> dict[str, object]:
    database_us = figures.database_us
    return {
        "messages_per_second": round(figures.rate),
        "cpu_us_per_message": round(figures.daemon_us, 2),
        "database_cpu_us_per_message": None if database_us is None else round(database_us, 2),
        "resident_mib": round(figures.mebibytes, 1),
        "void": figures.void,
    }


def _table(axis: Axis, figures: Mapping[Scale, _Figures]) -> Table:
    along = _along(axis, figures)
    cheapest = min(each.daemon_us for each in along.values())
    return Table(
        title=f"Growth: {axis.name}",
        columns=[
            axis.name,
            "messages/s",
            "CPU µs/message",
            "÷ cheapest",
            "database's CPU µs/message",
            "memory, MiB",
        ],
        rows=[
            [
                f"{size:,}",
                f"{each.rate:,.0f}",
                f"{each.daemon_us:.2f}",
                f"{each.daemon_us / cheapest:.2f}",
                _us(each.database_us),
                f"{each.mebibytes:.0f}",
            ]
            for size, each in along.items()
        ],
    )


def _path_table(alone: Mapping[Scale, float]) -> Table:
    cheapest = min(alone.values())
    return Table(
        title="Growth: from the session to the sealed batch, alone",
        columns=["", "µs/message", "÷ cheapest"],
        rows=[[scale.name, f"{us:.2f}", f"{us / cheapest:.2f}"] for scale, us in alone.items()],
    )


def _goal(axis: Axis, figures: Mapping[Scale, _Figures]) -> Goal:
    along = _along(axis, figures).values()
    costs = [each.daemon_us for each in along]
    smallest, largest = min(axis.scales), max(axis.scales)
    return Goal(
        what=f"CPU per message, {smallest:,} to {largest:,} {axis.name}, dearest ÷ cheapest",
        figure=max(costs) / min(costs),
        bound=MOST_RATIO,
        better="lower",
        void=any(each.void for each in along),
    )


def _chart(axis: Axis, figures: Mapping[Scale, _Figures]) -> Chart:
    along = _along(axis, figures)
    databases = [each.database_us for each in along.values() if each.database_us is not None]
    beside = {"database": databases} if len(databases) == len(along) else {}
    ours = [each.daemon_us for each in along.values()]
    return Chart(
        name=f"growth-{axis.name.replace(' ', '-')}",
        title=f"Processor time of a message, by {axis.name}",
        unit="µs/message",
        places=[float(size) for size in along],
        series={**beside, "Penstock": ours},
        kind="lines",
        place_unit=axis.name,
        logarithmic=True,
    )


def _first_sight(taken: Sequence[Cost]) -> str:
    seconds = median(taken, lambda cost: cost.first_seconds)
    ours = median(taken, lambda cost: cost.first_daemon_us)
    databases = [cost.first_database_us for cost in taken]
    theirs = median(taken, lambda cost: cost.first_database_us or 0.0) if all(databases) else None
    return (
        f"Heard for the first time, {LARGEST.devices:,} devices with 3 metrics each were known"
        f" after {seconds:.0f} s: {ours:.0f} µs of Penstock's processor time a device, its first"
        f" messages included, and {_us(theirs)} of the database's."
    )


def _spread(figures: _Figures) -> str:
    return (
        f"Readings spread over {SPREAD.days} days instead of today's:"
        f" {figures.rate:,.0f} messages/s,"
        f" {figures.daemon_us:.2f} µs of processor time a message, {_us(figures.database_us)} of"
        " the database's."
    )


def _us(figure: float | None) -> str:
    return "unknown" if figure is None else f"{figure:.2f}"
