"""A run is shown as it goes, on a terminal and off it."""

import io
import re

import pytest
from rich.console import Console

from penstock_simulator.gauges import Gauges
from penstock_simulator.picture import TerminalView
from penstock_simulator.watching import (
    Frame,
    LineView,
    PublishingView,
    rates_between,
)


def frame_at(seconds: float, *, phase: str = "publishing") -> Frame:
    return Frame(
        elapsed_seconds=seconds,
        phase=phase,
        published=int(seconds * 2_000),
        gauges=Gauges(
            stored=int(seconds * 6_000),
            queue_rows=600,
            queue_rows_limit=100_000,
            unacknowledged=200,
            receive_maximum=20_000,
            dead_letters={"malformed": int(seconds)},
            latency_buckets={0.1: seconds * 6_000, float("inf"): seconds * 6_000},
        ),
    )


def test_rates_are_per_second() -> None:
    rates = rates_between(frame_at(1), frame_at(3))
    assert (rates.published, rates.stored) == (2_000, 6_000)
    assert rates.p50_ms == 100


def test_off_a_terminal_there_is_a_line_every_two_seconds() -> None:
    out = io.StringIO()
    with LineView(Console(file=out, width=80)) as view:
        for quarter in range(4 * 5):
            view.show(frame_at(quarter / 4))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        "   2 s  publishing: 4,000 messages published (2,000/s), 12,000 readings stored (6,000/s),"
        " queue 600 rows, window 200 messages, published to committed p50 ≤ 100 ms p99 ≤ 100 ms"
        " (bounds of the daemon's histogram), 2 dead letters"
    )


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_picture_fits_and_keeps_its_places(width: int) -> None:
    places = set()
    for count in range(14):
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=width, height=24)
        reasons = {f"reason_{number}": 10 ** (number % 6) for number in range(count)}
        with TerminalView(console, title="The title", footer="a\nb\nc", seconds=30) as view:
            for quarter in range(1, 4 * (count + 1)):
                frame = frame_at(quarter * 10.0 ** (count % 4))
                view.show(frame._replace(gauges=frame.gauges._replace(dead_letters=reasons)))
        drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
        picture = drawn[drawn.rindex("╭") : drawn.rindex("╯") + 1]
        lines = picture.splitlines()
        assert len(lines) < 24
        assert max(map(len, lines)) < width
        found = [(n, line.find("dead letters")) for n, line in enumerate(lines)]
        places.add((len(lines), *(place for place in found if place[1] >= 0)))
        assert "messages published" in picture
        assert "│ c " in picture
    assert len(places) == 1


def test_on_a_terminal_there_is_a_picture() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=110, height=30)
    with TerminalView(console, title="The title", footer="the footer", seconds=30) as view:
        for quarter in range(1, 9):
            view.show(frame_at(quarter / 4))
    picture = out.getvalue()
    for part in ("The title", "the footer", "2,000", "6,000", "malformed", "600 rows", "of 30 s"):
        assert part in picture


def test_every_group_of_a_scenario_has_its_line() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24)
    with TerminalView(console, title="The title", footer="f", seconds=30) as view:
        for second in range(1, 4):
            groups = {"pumps": second * 500, "meters": second * 1_500}
            view.show(frame_at(second)._replace(groups=groups))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).splitlines()
    (pumps, meters) = ([x for x in lines if name in x][-1] for name in ("pumps", "meters"))
    assert pumps.split()[1:4] == ["pumps", "500", "1,500"]
    assert meters.split()[1:4] == ["meters", "1,500", "4,500"]


def test_a_run_whose_daemon_cannot_be_asked_shows_what_it_published() -> None:
    out = io.StringIO()
    with PublishingView(Console(file=out, width=80), seconds=30) as view:
        for quarter in range(4 * 5):
            view.show(frame_at(quarter / 4))
    assert out.getvalue().splitlines()[0] == (
        "   2 of 30 s  publishing: 4,000 messages published (2,000/s)"
    )
