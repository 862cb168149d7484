"""Draws charts as SVG, the same picture for the same figures whenever it is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.frame import Chart

_COLOURS = ("#8a97a8", "#1f6f8b", "#d98e04", "#7a4e9f", "#3b8f5a", "#b5473c")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the reader's own typeface
    "svg.hashsalt": "penstock",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dde2e8",
}
_WIDTH_INCHES = 8.0


def write_chart(chart: Chart, path: Path) -> None:
    """Draw a chart into a file."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, _height_inches(chart)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(chart.title, loc="left")
        if chart.kind == "bars":
            _draw_bars(axes, chart)
        else:
            _draw_lines(axes, chart)
        if len(chart.series) > 1 or chart.bound is not None:
            axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _height_inches(chart: Chart) -> float:
    bars = len(chart.places) * len(chart.series)
    return 1.4 + 0.22 * bars + 0.12 * len(chart.places) if chart.kind == "bars" else 4.0


def _draw_bars(axes: Axes, chart: Chart) -> None:
    thickness = 0.8 / len(chart.series)
    for number, (name, figures) in enumerate(chart.series.items()):
        at = [place + number * thickness for place in range(len(chart.places))]
        bars = axes.barh(at, figures, thickness, label=name, color=_colour(number, chart))
        axes.bar_label(bars, [_label(figure) for figure in figures], padding=3, fontsize=8)
    middle = thickness * (len(chart.series) - 1) / 2
    axes.set_yticks(
        [place + middle for place in range(len(chart.places))], [str(name) for name in chart.places]
    )
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel(chart.unit)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    if chart.bound is not None:
        axes.axvline(chart.bound, color="#b5473c", linestyle="--", label="goal")


def _draw_lines(axes: Axes, chart: Chart) -> None:
    places: Sequence[float] = [float(place) for place in chart.places]
    for number, (name, figures) in enumerate(chart.series.items()):
        axes.plot(places, figures, marker="o", label=name, color=_colour(number, chart))
    if chart.logarithmic:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.place_unit)
    axes.set_ylabel(chart.unit)
    if chart.bound is not None:
        axes.axhline(chart.bound, color="#b5473c", linestyle="--", label="goal")


def _colour(number: int, chart: Chart) -> str:
    """The first of several is what is compared with; one alone is ours."""
    return _COLOURS[number if len(chart.series) > 1 else 1]


def _label(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
