"""Results become a page, charts and JSON, and nothing that they do not own changes."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.documents import BEGIN, END, PAGE, report_of, write_page
from benchmarks.frame import Chart, Goal, Result, Table

BARS = Chart(
    name="bars",
    title="Rows by batch",
    unit="rows/s",
    places=["500", "5,000"],
    series={"raw": [100_000.0, 200_000.0], "Penstock": [90_000.0, 190_000.0]},
)
LINES = Chart(
    name="lines",
    title="Cost by devices",
    unit="µs",
    places=[10.0, 1_000.0, 100_000.0],
    series={"Penstock": [3.0, 3.1, 3.2]},
    kind="lines",
    place_unit="devices",
    bound=3.6,
    logarithmic=True,
)
RESULT = Result(
    figures={"500": {"ratio": 0.9}},
    tables=[Table(title="Rows", columns=["rows/batch", "rows/s"], rows=[["500", "90,000"]])],
    goals=[
        Goal(what="ours ÷ raw", figure=0.905, bound=0.9),
        Goal(what="p99", figure=200.0, bound=150.0, better="lower", void=True),
    ],
    charts=[BARS, LINES],
    notes=["Nothing else ran."],
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "benchmarks.md"
    path.write_text(f"# Before\n\n{BEGIN}\nold figures\n{END}\n\nAfter.\n")
    return path


def test_only_what_is_between_the_marks_is_written_anew(page: Path) -> None:
    write_page("some machine", {"storage": RESULT}, page)
    first = page.read_text()
    assert first.startswith(f"# Before\n\n{BEGIN}\n")
    assert first.endswith(f"{END}\n\nAfter.\n")
    assert "old figures" not in first
    for part in (
        "Measured on some machine.",
        "| 500 | 90,000 |",
        "| ours ÷ raw | 0.905 | ≥ 0.9 | met |",
        "| p99 | 200 | ≤ 150 | missed, void |",
        "(benchmarks/bars.svg)",
        "Nothing else ran.",
    ):
        assert part in first
    write_page("some machine", {"storage": RESULT}, page)
    assert page.read_text() == first


def test_charts_are_the_same_pictures_for_the_same_figures(page: Path) -> None:
    drawn = []
    for _ in range(2):
        write_page("some machine", {"storage": RESULT}, page)
        drawn.append(
            [(page.parent / "benchmarks" / f"{n}.svg").read_text() for n in ("bars", "lines")]
        )
    assert drawn[0] == drawn[1]
    bars, lines = ("".join(ET.fromstring(picture).itertext()) for picture in drawn[0])
    for text in ("Rows by batch", "rows/s", "5,000", "Penstock", "190,000"):
        assert text in bars
    for text in ("Cost by devices", "devices", "goal"):
        assert text in lines


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("# Before\n")
    with pytest.raises(ValueError, match="figures"):
        write_page("some machine", {"storage": RESULT}, path)
    assert path.read_text() == "# Before\n"


def test_the_page_of_the_project_has_its_marks() -> None:
    _, begin, rest = PAGE.read_text().partition(BEGIN)
    assert begin
    assert END in rest


def test_the_short_sets_report_stays_as_it_is() -> None:
    assert report_of("m", {"line-rate": RESULT}) == RESULT.figures


def test_a_longer_report_has_the_rest_beside_it() -> None:
    report = report_of("m", {"line-rate": RESULT, "storage": RESULT})
    assert report["500"] == {"ratio": 0.9}
    assert report["machine"] == "m"
    assert report["benchmarks"]["storage"]["figures"] == RESULT.figures
    goals = report["benchmarks"]["storage"]["goals"]
    assert [(goal["met"], goal["void"]) for goal in goals] == [(True, False), (False, True)]
    json.dumps(report)
