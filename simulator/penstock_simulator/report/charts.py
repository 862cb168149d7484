"""Line charts as inline SVG.

The lines are SVG that is stretched to the room there is; the words around them are HTML, so that
they keep their size on a telephone. Each place on the x axis has a title that a browser shows
under the pointer, and each chart has a table beside it that holds the same figures.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from penstock_simulator.report.markup import Markup, element, joined
from penstock_simulator.report.scales import Scale, Tick

WIDTH, HEIGHT = 1_000, 300
_MOST_ROWS = 61


Stroke = Literal["plain", "faint", "broad"]
"""Faint lines are thin and dashed, to accompany another of their colour; broad ones are seen even
when another lies on them."""


class Line(NamedTuple):
    """One line of a chart."""

    name: str
    tone: str
    """A class of the style sheet that gives its colour."""
    values: Sequence[float | None]
    """One for each x; a gap where it is None."""
    stroke: Stroke = "plain"


class Mark(NamedTuple):
    """A place on the x axis that is pointed out: a moment, or all from one to another."""

    x: float
    text: str
    """What is there, for the pointer."""
    until: float | None = None
    label: str = ""
    """A word or two beside the line."""


class Chart(NamedTuple):
    """A chart; all lines share the x values and the scales."""

    key: str
    """Unique on the page."""
    title: str
    note: str
    """What is shown, in a sentence or two."""
    x_name: str
    xs: Sequence[float]
    x_scale: Scale
    x_written: Callable[[float], str]
    y_scale: Scale
    y_written: Callable[[float], str]
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()


def drawn(chart: Chart) -> Markup:
    """A chart with its legend, and its figures as a table to unfold."""
    return element(
        "figure",
        element("figcaption", element("h3", chart.title), element("p", chart.note)),
        _legend(chart),
        element(
            "div",
            _y_axis(chart.y_scale),
            _plot(chart),
            _x_axis(chart.x_scale),
            *_labels(chart),
            class_="plot",
        ),
        element(
            "details",
            element("summary", "Figures"),
            element("div", _table(chart), class_="scroll", tabindex=0, role="region",
                    aria_label=f"Figures: {chart.title}"),
        ),
        id=chart.key,
    )  # fmt: skip


def _legend(chart: Chart) -> Markup:
    items = [
        element(
            "li",
            element("span", class_=f"swatch {_classes(line)}", aria_hidden="true"),
            line.name,
        )
        for line in chart.lines
    ]
    return element("ul", *items, class_="legend")


def _plot(chart: Chart) -> Markup:
    title, description = f"{chart.key}-title", f"{chart.key}-desc"
    return element(
        "svg",
        element("title", chart.title, id=title),
        element("desc", _described(chart), id=description),
        *(_band(mark, chart.x_scale) for mark in chart.marks if mark.until is not None),
        *(_grid_line(tick) for tick in chart.y_scale.ticks),
        *(_mark(mark, chart.x_scale) for mark in chart.marks if mark.until is None),
        *(_path(line, chart) for line in chart.lines),
        *_hits(chart),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby=f"{title} {description}",
    )


def _described(chart: Chart) -> str:
    """In words, what each line spans."""
    parts = []
    for line in chart.lines:
        known = [value for value in line.values if value is not None]
        if known:
            least, most = chart.y_written(min(known)), chart.y_written(max(known))
            parts.append(
                f"{line.name}: from {least} to {most}, at last {chart.y_written(known[-1])}"
            )
    return "; ".join(parts) + "."


def _grid_line(tick: Tick) -> Markup:
    y = _number(HEIGHT * (1 - tick.place))
    kind = "base" if tick.place == 0 else "grid"
    return element("line", x1=0, x2=WIDTH, y1=y, y2=y, class_=kind)


def _mark(mark: Mark, scale: Scale) -> Markup:
    x = _number(WIDTH * scale.place(mark.x))
    line = element("line", x1=x, x2=x, y1=0, y2=HEIGHT)
    return element("g", line, element("title", mark.text), class_="mark")


def _band(mark: Mark, scale: Scale) -> Markup:
    left, right = (WIDTH * min(1.0, scale.place(x)) for x in (mark.x, mark.until or mark.x))
    band = element("rect", x=_number(left), y=0, width=_number(right - left), height=HEIGHT)
    return element("g", band, element("title", mark.text), class_="band")


def _labels(chart: Chart) -> list[Markup]:
    """The words beside marks, on the side where there is more room."""
    labels = []
    for mark in chart.marks:
        if mark.label:
            place = chart.x_scale.place(mark.x)
            side = f"left:{_number(100 * place)}%"
            if place > 1 / 2:
                side = f"right:{_number(100 * (1 - place))}%"
            labels.append(element("span", mark.label, class_="mark-label", style=side))
    return labels


def _path(line: Line, chart: Chart) -> Markup:
    steps: list[str] = []
    pen = "M"
    for x, value in zip(chart.xs, line.values, strict=True):
        if value is None:
            pen = "M"
            continue
        at = f"{_x(chart, x)} {_number(HEIGHT * (1 - chart.y_scale.place(value)))}"
        # A point of its own is a line of no length: round ends make it a dot.
        steps.append(f"M{at}h0" if pen == "M" else f"L{at}")
        pen = "L"
    return element("path", d="".join(steps), class_=f"line {_classes(line)}")


def _hits(chart: Chart) -> list[Markup]:
    """Where the pointer finds the figures: a strip for each x, up to half way to its neighbours."""
    centres = [WIDTH * chart.x_scale.place(x) for x in chart.xs]
    between = [(left + right) / 2 for left, right in pairwise(centres)]
    edges = pairwise([0.0, *between, float(WIDTH)])
    hits = []
    for place, (left, right) in enumerate(edges):
        centre = _number(centres[place])
        hits.append(
            element(
                "g",
                element("rect", x=_number(left), y=0, width=_number(right - left), height=HEIGHT),
                element("line", x1=centre, x2=centre, y1=0, y2=HEIGHT),
                element("title", _told(chart, place)),
                class_="hit",
            )
        )
    return hits


def _told(chart: Chart, place: int) -> str:
    rows = [chart.x_written(chart.xs[place])]
    for line in chart.lines:
        value = line.values[place]
        if value is not None:
            rows.append(f"{line.name}: {chart.y_written(value)}")
    return "\n".join(rows)


def _y_axis(scale: Scale) -> Markup:
    labels = [
        element("span", tick.label, style=f"top:{_number(100 * (1 - tick.place))}%")
        for tick in scale.ticks
    ]
    return element("div", *labels, class_="y-axis", aria_hidden="true")


def _x_axis(scale: Scale) -> Markup:
    labels = [
        element("span", tick.label, style=f"left:{_number(100 * tick.place)}%")
        for tick in scale.ticks
    ]
    return element("div", *labels, class_="x-axis", aria_hidden="true")


def _table(chart: Chart) -> Markup:
    """The figures; of many, as many as can be read."""
    every = -(-len(chart.xs) // _MOST_ROWS)
    head = element(
        "tr",
        element("th", chart.x_name, scope="col"),
        *(element("th", line.name, scope="col") for line in chart.lines),
    )
    rows = [
        element(
            "tr",
            element("th", chart.x_written(chart.xs[place]), scope="row"),
            *(element("td", _cell(line.values[place], chart)) for line in chart.lines),
        )
        for place in range(0, len(chart.xs), max(1, every))
    ]
    caption = chart.title if every <= 1 else f"{chart.title}; every {every}th value"
    return element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", joined(rows)),
        class_="figures",
    )


def _cell(value: float | None, chart: Chart) -> str:
    return "–" if value is None else chart.y_written(value)  # noqa: RUF001 - the sign for none


def _classes(line: Line) -> str:
    return f"{line.tone} {line.stroke}"


def _x(chart: Chart, x: float) -> str:
    return _number(WIDTH * chart.x_scale.place(x))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
