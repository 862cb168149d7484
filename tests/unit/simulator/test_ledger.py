"""A ledger survives the end of the process that wrote it."""

from pathlib import Path

import numpy as np
import pytest

from penstock_simulator.fleet import Fleet
from penstock_simulator.ledger import (
    ACKNOWLEDGED,
    REFUSED,
    WAITING,
    LaneLedger,
    Ledger,
    LedgerError,
    load,
    save,
)
from penstock_simulator.pace import Ramp, Steady
from penstock_simulator.schedule import Schedule

FLEET = Fleet(seed=5, start_us=1_790_000_000_000_000, step_us=1_000, malformed_every=10)


def lane_with(counts: list[int]) -> LaneLedger:
    lane = LaneLedger()
    for number, count in enumerate(counts):
        lane.append(count, 1_000 + number)
    return lane


def test_slots_keep_the_time_at_which_they_were_sent() -> None:
    lane = lane_with([3, 10_000, 1])
    assert lane.sent == 10_004
    assert lane.sent_us.tolist() == [1_000] * 3 + [1_001] * 10_000 + [1_002]
    assert not lane.outcome.any()


def test_what_was_acknowledged_stays_so_while_columns_grow() -> None:
    lane = lane_with([4_000])
    lane.outcome[17] = ACKNOWLEDGED
    lane.append(100_000, 5)
    assert np.flatnonzero(lane.outcome).tolist() == [17]


def test_a_saved_ledger_is_read_back_as_it_was(tmp_path: Path) -> None:
    first, second = lane_with([5]), lane_with([3, 4])
    first.outcome[:] = [ACKNOWLEDGED, REFUSED, WAITING, WAITING, ACKNOWLEDGED]
    save(Ledger(FLEET, {0: first, 2: second}), tmp_path / "run.ledger")
    ledger = load([tmp_path / "run.ledger"])
    assert ledger.fleet == FLEET
    assert sorted(ledger.lanes) == [0, 2]
    assert ledger.lanes[0].outcome.tolist() == first.outcome.tolist()
    assert ledger.lanes[2].sent_us.tolist() == second.sent_us.tolist()
    assert (ledger.published, ledger.acknowledged) == (12, 2)
    assert ledger.span_us == (1_000, 1_001)
    assert list(tmp_path.iterdir()) == [tmp_path / "run.ledger"]


def test_when_a_slot_was_due_is_known_from_the_file_alone(tmp_path: Path) -> None:
    schedule = Schedule(
        seed=5,
        lanes=FLEET.lanes,
        pace=Ramp(first=10, last=50, steps=5, step_seconds=2),
        jitter=0.7,
    )
    lane = lane_with([50])
    lane.started_us = 777
    lane.settle(np.array([3, 4]), ACKNOWLEDGED, 9_000)
    save(Ledger(FLEET, {1: lane}, schedule), tmp_path / "run.ledger")
    ledger = load([tmp_path / "run.ledger"])
    assert ledger.schedule == schedule
    assert ledger.due_us(1).tolist() == (777 + schedule.due_us(1, np.arange(50))).tolist()
    assert ledger.lanes[1].answered_us.tolist() == [0, 0, 0, 9_000, 9_000] + [0] * 45


def test_without_a_schedule_a_slot_is_due_when_it_is_sent() -> None:
    assert Ledger(FLEET, {1: lane_with([2, 1])}).due_us(1).tolist() == [1_000, 1_000, 1_001]


def test_ledgers_of_two_schedules_are_refused(tmp_path: Path) -> None:
    for number in (0, 1):
        schedule = Schedule(seed=5, lanes=4, pace=Steady(1.0 + number))
        save(Ledger(FLEET, {number: lane_with([1])}, schedule), tmp_path / f"{number}")
    with pytest.raises(LedgerError, match="another run"):
        load([tmp_path / "0", tmp_path / "1"])


def test_ledgers_of_several_processes_are_joined(tmp_path: Path) -> None:
    for number in (0, 1):
        save(Ledger(FLEET, {number: lane_with([number + 1])}), tmp_path / f"{number}")
    ledger = load([tmp_path / "0", tmp_path / "1"])
    assert {number: lane.sent for number, lane in ledger.lanes.items()} == {0: 1, 1: 2}


def test_the_same_lane_twice_is_refused(tmp_path: Path) -> None:
    save(Ledger(FLEET, {0: lane_with([1])}), tmp_path / "a")
    with pytest.raises(LedgerError, match="earlier ledger"):
        load([tmp_path / "a", tmp_path / "a"])


def test_ledgers_of_two_runs_are_refused(tmp_path: Path) -> None:
    other = Fleet(seed=6, start_us=0, step_us=1)
    save(Ledger(FLEET, {0: lane_with([1])}), tmp_path / "a")
    save(Ledger(other, {1: lane_with([1])}), tmp_path / "b")
    with pytest.raises(LedgerError, match="another run"):
        load([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("content", [b"", b"not a ledger", b"PK\x03\x04 broken"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LedgerError, match="x is not a ledger"):
        load([tmp_path / "x"])


def test_a_run_that_sent_nothing_has_no_span() -> None:
    assert Ledger(FLEET, {0: LaneLedger()}).span_us == (0, 0)
