"""Draws charts as SVG, the same picture for the same figures whenever it is drawn.

A picture has a ground of its own and two sets of colours, of which a browser takes the one that
its user prefers. So it can be read on a light and on a dark page, even where the page has been
switched and the picture does not know.
"""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.frame import Chart

_INK, _SOFT, _RULE, _GROUND, _GOAL = "#1c2733", "#5a6877", "#dde3e9", "#fcfdfe", "#c0362c"
_COLOURS = ("#8a97a8", "#1f7fa6", "#d98e04", "#8a5cb8", "#3b8f5a", "#b35c2e")
_DARK = {
    _INK: "#e6ecf2",
    _SOFT: "#9aa8b7",
    _RULE: "#2f3b48",
    _GROUND: "#151b23",
    _GOAL: "#ff8d81",
    "#8a97a8": "#76859a",
    "#1f7fa6": "#4fb3d9",
    "#d98e04": "#f0b040",
    "#8a5cb8": "#b993e6",
    "#3b8f5a": "#5cc486",
    "#b35c2e": "#e08a5c",
}
"""What each colour becomes for those who prefer dark pages."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the reader's own typeface
    "svg.hashsalt": "penstock",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _SOFT,
    "axes.facecolor": _GROUND,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": _GROUND,
    "figure.constrained_layout.h_pad": 0.15,
    "figure.constrained_layout.w_pad": 0.15,
    "grid.color": _RULE,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _INK,
    "lines.linewidth": 2,
}
_WIDTH_INCHES = 8.0
_MOST_TICKS = 6
"""Of figures: more would not stand beside each other."""
_MOST_MARKED = 15
"""Points of a line that are marked; more would hide it."""


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
        _add_legend(axes, chart)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    path.write_text(_with_dark_colours(drawn.getvalue()))


def _height_inches(chart: Chart) -> float:
    bars = len(chart.places) * len(chart.series)
    return 1.4 + 0.22 * bars + 0.12 * len(chart.places) if chart.kind == "bars" else 4.0


def _draw_bars(axes: Axes, chart: Chart) -> None:
    thickness = 0.8 / len(chart.series)
    for number, (name, figures) in enumerate(chart.series.items()):
        at = [place + number * thickness for place in range(len(chart.places))]
        bars = axes.barh(at, figures, thickness, label=name, color=_colour(number, chart))
        axes.bar_label(
            bars, [_label(figure) for figure in figures], padding=4, fontsize=8, color=_SOFT
        )
    middle = thickness * (len(chart.series) - 1) / 2
    axes.set_yticks(
        [place + middle for place in range(len(chart.places))], [str(name) for name in chart.places]
    )
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel(chart.unit)
    axes.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(_tick)
    if chart.bound is not None:
        axes.axvline(chart.bound, color=_GOAL, linestyle="--", label="goal")


def _draw_lines(axes: Axes, chart: Chart) -> None:
    places: Sequence[float] = [float(place) for place in chart.places]
    marker = "o" if len(places) <= _MOST_MARKED else None
    for number, (name, figures) in enumerate(chart.series.items()):
        axes.plot(places, figures, marker=marker, label=name, color=_colour(number, chart))
    if chart.logarithmic:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.place_unit)
    axes.set_ylabel(chart.unit)
    axes.yaxis.set_major_formatter(_tick)
    if chart.bound is not None:
        axes.axhline(chart.bound, color=_GOAL, linestyle="--", label="goal")


def _add_legend(axes: Axes, chart: Chart) -> None:
    """Beside the figures, where there is more to tell apart than the title says."""
    shown = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if len(chart.series) == 1:
        shown = {name: handle for name, handle in shown.items() if name not in chart.series}
    if shown:
        axes.legend(
            shown.values(),
            shown.keys(),
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1, 1),
            labelcolor=_INK,
            fontsize=9,
        )


def _with_dark_colours(picture: str) -> str:
    """Add rules that take the place of the colours, which are written into each element."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in _DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>\n"
    return picture.replace("<defs>", f"{style}<defs>", 1)


def _colour(number: int, chart: Chart) -> str:
    """The first of several is what is compared with; one alone is ours."""
    return _COLOURS[number if len(chart.series) > 1 else 1]


def _label(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _tick(value: float, position: float) -> str:
    del position
    return f"{value:,.10g}"
