"""The generator runs ahead of its subject, but not too far."""

from pathlib import Path

from benchmarks.load import Pace
from benchmarks.progress import Gauge, new_counter, open_counter


def test_before_the_first_message_arrives_few_are_published(tmp_path: Path) -> None:
    new_counter(tmp_path / "counter")
    pace = Pace(Gauge("counter", path=str(tmp_path / "counter")), backlog=1_000)
    assert 1 <= pace.allowed() < 100


def test_then_it_stays_a_backlog_ahead(tmp_path: Path) -> None:
    new_counter(tmp_path / "counter")
    counter = open_counter(tmp_path / "counter")
    pace = Pace(Gauge("counter", path=str(tmp_path / "counter")), backlog=1_000)
    counter[0] = 1
    first = pace.allowed()
    counter[0] = 501
    assert pace.allowed() - first == 500
    assert 1_001 <= first < 1_101
