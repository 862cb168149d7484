"""What is chosen is measured, and what fails takes nothing with it."""

import json
from pathlib import Path

import pytest
import typer

from benchmarks import __main__ as command
from benchmarks.frame import BenchError, Benchmark, Context, Result
from penstock.sandbox import SandboxError


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, result: Result) -> dict[str, Benchmark]:
    """Three that fail, and one that comes after them."""

    def wrong(_: Context) -> Result:
        raise BenchError("it does not add up")

    def missing(_: Context) -> Result:
        raise SandboxError("there is no broker")

    def surprising(_: Context) -> Result:
        raise ZeroDivisionError("nothing to divide by")

    benchmarks = {
        "storage": Benchmark("Storage", wrong),
        "outage": Benchmark("Outage", missing),
        "latency": Benchmark("Latency", surprising),
        "shared": Benchmark("Shared", lambda _: result),
    }
    monkeypatch.setattr(command, "CATALOGUE", benchmarks)
    return benchmarks


def run(*names: str, report: Path) -> int:
    with pytest.raises(typer.Exit) as ended:
        command.main(list(names), report=report, seconds=2, runs=1)
    return ended.value.exit_code


def test_what_fails_does_not_take_the_others_results_with_it(
    catalogue: dict[str, Benchmark], result: Result, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    assert run(*catalogue, report=path) == 1
    found = json.loads(path.read_text())
    assert found["failures"] == {
        "storage": "it does not add up",
        "outage": "there is no broker",
        "latency": "ZeroDivisionError: nothing to divide by",
    }
    assert found["benchmarks"]["shared"]["figures"] == result.figures


def test_the_report_is_there_before_the_next_benchmark_begins(
    catalogue: dict[str, Benchmark], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"

    def stop(_: Context) -> Result:
        assert json.loads(path.read_text())["benchmarks"]["storage"]
        raise KeyboardInterrupt

    catalogue["storage"] = catalogue.pop("shared")
    catalogue["outage"] = Benchmark("Outage", stop)
    catalogue.update({name: catalogue.pop(name) for name in ("storage", "outage")})
    with pytest.raises(KeyboardInterrupt):
        command.main(["storage", "outage"], report=path)


def test_what_was_measured_is_no_failure_whatever_the_figures(
    catalogue: dict[str, Benchmark], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    assert run("shared", report=path) == 0
    found = json.loads(path.read_text())
    assert "failures" not in found
    assert found["command"].endswith("shared --seconds 2 --runs 1")


def test_the_page_is_not_written_of_some_of_them(catalogue: dict[str, Benchmark]) -> None:
    catalogue["shared"] = Benchmark("Shared", lambda _: pytest.fail("nothing is to be measured"))
    with pytest.raises(typer.BadParameter, match="--full"):
        command.main(["shared"], docs=True)


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(typer.BadParameter, match=r"storrage: not one of .*storage"):
        command.main(["storrage"])
