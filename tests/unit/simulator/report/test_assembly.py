"""The record of a run says what its ledgers and judges say."""

import msgspec
import pytest

from penstock_simulator.report.assembly import Part, record_of
from penstock_simulator.report.record import Record
from penstock_simulator.sampling import Samples
from tests.support.records import TOLD, ledger_of, record


def test_a_record_survives_its_file() -> None:
    made = record()
    assert msgspec.json.decode(msgspec.json.encode(made), type=Record) == made


def test_the_timeline_counts_what_happened_in_each_second() -> None:
    ledger = ledger_of([0, 500_000, 1_200_000], [4_000, 600_000, 0])
    made = record_of(TOLD, [Part("a", ledger)], Samples())
    assert made.timeline.at_seconds == [1.0, 2.0]
    assert made.timeline.published == [2, 1]
    assert made.timeline.acknowledged == [1, 1]
    assert made.timeline.acknowledged_p99_ms[0] == pytest.approx(594.04)
    assert made.timeline.acknowledged_p50_ms[1] is None
    assert made.timeline.committed == []
    assert (made.published, made.acknowledged, made.seconds) == (3, 2, 1.2)
    assert made.began_at == "2023-11-14T22:13:20+00:00"


def test_groups_are_added_up_and_kept_apart() -> None:
    fast, slow = ledger_of([0, 1_000], [1_000] * 2), ledger_of([0, 1_000], [9_000] * 2)
    made = record_of(TOLD, [Part("fast", fast), Part("slow", slow)], Samples())
    assert made.published == 4
    assert [group.name for group in made.groups] == ["fast", "slow"]
    assert [group.latencies.acknowledged.p50 for group in made.groups] == [1.0, 9.0]
    assert made.latencies.acknowledged.count == 4
    assert made.latencies.acknowledged.max == 9.0
    assert made.account is None


def test_the_curve_ends_where_the_messages_do() -> None:
    made = record_of(TOLD, [Part("a", ledger_of(list(range(100)), [5_000] * 100))], Samples())
    assert made.curve.shares[0] == 0
    assert made.curve.shares[-1] == pytest.approx(0.99)
    assert set(made.curve.acknowledged_ms) == {5.0}
    assert made.curve.committed_ms == []


def test_a_run_that_sent_nothing_has_a_record() -> None:
    made = record_of(TOLD, [Part("a", ledger_of([], []))], Samples())
    assert (made.published, made.began_at) == (0, None)
