"""Results become a page and charts, and nothing that they do not own changes."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.documents import Report
from benchmarks.page import BEGIN, END, PAGE, in_markdown, write_page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "benchmarks.md"
    path.write_text(f"# Before\n\n{BEGIN}\nold figures\n{END}\n\nAfter.\n")
    return path


def test_only_what_is_between_the_marks_is_written_anew(page: Path, report: Report) -> None:
    write_page(report, page)
    first = page.read_text()
    assert first.startswith(f"# Before\n\n{BEGIN}\n")
    assert first.endswith(f"{END}\n\nAfter.\n")
    assert "old figures" not in first
    write_page(report, page)
    assert page.read_text() == first


def test_the_occasion_and_all_goals_come_first(report: Report) -> None:
    text = in_markdown(report, "benchmarks")
    places = [
        text.index(part)
        for part in (
            "some machine",
            "`abc123`, on 2026-01-02",
            "`measure --full`",
            "## Goals",
            "| [ours ÷ raw](#storage) | 0.905 | ≥ 0.9 | met |",
            "| [p99 ms](#storage) | 200 | ≤ 150 | **missed** ([notes](#storage)) |",
            "| [p99 ms, noisy](#storage) | 100 | ≤ 150 | void |",
            "## Storage",
            "| 500 | 90,000 |",
            "(benchmarks/bars.svg)",
            "Nothing else ran.",
            "Void windows: ours: 1 of 3.",
        )
    ]
    assert places == sorted(places)


def test_what_could_not_be_measured_is_said_in_its_place(report: Report) -> None:
    text = in_markdown(report, "benchmarks")
    assert "## Outage\n\nIt could not be measured: no server\n" in text
    assert "its log" not in text


def test_figures_stand_on_the_right(report: Report) -> None:
    text = in_markdown(report, "benchmarks")
    assert "| rows/batch | rows/s |\n| --- | ---: |" in text
    assert "| goal | measured | bound |  |\n| --- | ---: | ---: | --- |" in text


def test_charts_are_the_same_pictures_for_the_same_figures(page: Path, report: Report) -> None:
    drawn = []
    for _ in range(2):
        write_page(report, page)
        drawn.append(
            [(page.parent / "benchmarks" / f"{n}.svg").read_text() for n in ("bars", "lines")]
        )
    assert drawn[0] == drawn[1]
    bars, lines = ("".join(ET.fromstring(picture).itertext()) for picture in drawn[0])
    for text in ("Rows by batch", "rows/s", "5,000", "Penstock", "190,000"):
        assert text in bars
    for text in ("Cost by devices", "devices", "goal"):
        assert text in lines


def test_every_colour_of_a_chart_has_another_on_dark_pages(page: Path, report: Report) -> None:
    write_page(report, page)
    for name in ("bars", "lines"):
        picture = (page.parent / "benchmarks" / f"{name}.svg").read_text()
        root = ET.fromstring(picture)
        rules = next(element.text or "" for element in root.iter() if element.tag.endswith("style"))
        declarations = {
            declaration.strip()
            for element in root.iter()
            for declaration in element.get("style", "").split(";")
            if declaration.strip().startswith(("fill: #", "stroke: #"))
        }
        assert declarations
        for declaration in declarations:
            assert f'[style*="{declaration}"]' in rules


def test_a_page_without_marks_is_left_alone(tmp_path: Path, report: Report) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("# Before\n")
    with pytest.raises(ValueError, match="figures"):
        write_page(report, path)
    assert path.read_text() == "# Before\n"


def test_the_page_of_the_project_has_its_marks() -> None:
    _, begin, rest = PAGE.read_text().partition(BEGIN)
    assert begin
    assert END in rest
