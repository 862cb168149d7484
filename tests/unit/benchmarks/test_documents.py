"""Results become what is shown and what programs read."""

import json

import pytest
from rich.console import Console

from benchmarks.documents import Report, in_json, show, show_outcome
from benchmarks.frame import Result


def test_the_short_sets_report_stays_as_it_is(report: Report, result: Result) -> None:
    found = in_json(Report(report.occasion, {"line-rate": result}))
    assert found.items() >= result.figures.items()


def test_the_short_sets_report_says_what_was_measured_and_what_does_not_count(
    report: Report, result: Result
) -> None:
    found = in_json(Report(report.occasion, {"line-rate": result}))
    assert (found["machine"], found["commit"]) == ("some machine", "abc123")
    assert found["void_windows"] == ["ours: 1 of 3"]


def test_a_longer_report_has_the_rest_beside_it(report: Report, result: Result) -> None:
    found = in_json(Report(report.occasion, {"line-rate": result, "storage": result}))
    assert found["500"] == {"ratio": 0.9}
    assert found["machine"] == "some machine"
    assert found["commit"] == "abc123"
    storage = found["benchmarks"]["storage"]
    assert storage["figures"] == result.figures
    assert storage["void_windows"] == ["ours: 1 of 3"]
    goals = [(goal["met"], goal["void"]) for goal in storage["goals"]]
    assert goals == [(True, False), (False, False), (True, True)]
    assert "failures" not in found
    json.dumps(found)


def test_a_report_says_what_could_not_be_measured(report: Report) -> None:
    assert in_json(report)["failures"] == {"outage": "no server\nits log"}


def test_the_terminal_shows_figures_verdicts_and_void_windows(
    result: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    show(Console(width=120), result)
    shown = capsys.readouterr().out
    for part in (
        "90,000",
        "ours ÷ raw: 0.905 (≥ 0.9: met)",
        "p99 ms: 200 (≤ 150: missed)",
        "p99 ms, noisy: 100 (≤ 150: void)",
        "Nothing else ran.",
        "Void windows: ours: 1 of 3.",
    ):
        assert part in shown


def test_in_the_end_all_goals_and_failures_are_shown(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    show_outcome(Console(width=120), report)
    shown = capsys.readouterr().out
    for part in ("ours ÷ raw", "met", "missed", "void", "outage could not be measured: no server"):
        assert part in shown
