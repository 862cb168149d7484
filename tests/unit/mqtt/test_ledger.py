from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.mqtt.ledger import AckLedger, Release

packet_ids = st.lists(st.integers(min_value=1, max_value=65535), max_size=5)


def test_acknowledgements_leave_in_the_order_of_receipt_when_writers_finish_out_of_order() -> None:
    ledger = AckLedger()
    ledger.sealed(1, 1, [11, 12])
    ledger.sealed(2, 1, [13])
    ledger.sealed(3, 1, [14])
    assert ledger.completed(3) == []
    assert ledger.completed(2) == []
    assert ledger.completed(1) == [Release(1, [11, 12]), Release(1, [13]), Release(1, [14])]
    assert ledger.in_flight == 0


def test_a_batch_without_packets_holds_its_place_and_releases_nothing() -> None:
    ledger = AckLedger()
    ledger.sealed(1, 1, ())
    ledger.sealed(2, 1, [7])
    assert ledger.completed(2) == []
    assert ledger.completed(1) == [Release(1, [7])]


def test_batches_of_a_lost_connection_keep_their_place_without_their_packets() -> None:
    ledger = AckLedger()
    ledger.sealed(1, 1, [7])
    ledger.connection_lost(1)
    assert ledger.in_flight == 0
    ledger.sealed(2, 2, [7])
    assert ledger.completed(2) == []
    assert ledger.completed(1) == [Release(2, [7])]


def test_a_batch_sealed_after_its_connection_was_lost_has_nothing_to_acknowledge() -> None:
    ledger = AckLedger()
    ledger.connection_lost(1)
    ledger.sealed(1, 1, [7])
    assert ledger.in_flight == 0
    assert ledger.completed(1) == []


def test_misuse_is_named() -> None:
    ledger = AckLedger()
    ledger.sealed(2, 1, [7])
    with pytest.raises(ValueError, match="batch 2 was sealed after batch 2"):
        ledger.sealed(2, 1, [8])
    with pytest.raises(ValueError, match="batch 3 was never sealed"):
        ledger.completed(3)
    ledger.completed(2)
    with pytest.raises(ValueError, match="batch 2 was completed before"):
        ledger.completed(2)


class Packet(NamedTuple):
    """A message as it was received: in which batch, on which connection, under which number."""

    batch: int
    connection: int
    packet_id: int


class LedgerMachine(RuleBasedStateMachine):
    """Against a model that keeps every packet and judges each release by what was promised."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = AckLedger()
        self.connection = 1
        self.lost = 0
        self.batches = 0
        self.open: set[int] = set()
        self.completed: set[int] = set()
        self.waiting: list[Packet] = []
        """Neither released nor given up, in the order of receipt."""

    @rule(ids=packet_ids, age=st.integers(0, 2))
    def seal(self, ids: list[int], age: int) -> None:
        """A batch is sealed; with an `age` it is one of an earlier connection."""
        self.batches += 1
        connection = max(1, self.connection - age)
        self.open.add(self.batches)
        self.ledger.sealed(self.batches, connection, ids)
        if connection > self.lost:
            self.waiting += [Packet(self.batches, connection, packet_id) for packet_id in ids]

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        self.open.remove(number)
        self.completed.add(number)
        releases = self.ledger.completed(number)
        assert all(release.packet_ids for release in releases)
        self.judge([(r.connection, packet_id) for r in releases for packet_id in r.packet_ids])

    def judge(self, released: list[tuple[int, int]]) -> None:
        """Each once, in the order of receipt, from completed batches; and nothing is withheld."""
        due, self.waiting = self.waiting[: len(released)], self.waiting[len(released) :]
        assert released == [(packet.connection, packet.packet_id) for packet in due]
        assert {packet.batch for packet in due} <= self.completed
        if self.waiting:
            assert min(self.open, default=self.batches + 1) <= self.waiting[0].batch

    @rule()
    def connect(self) -> None:
        """A new connection stands; that the last one is gone may be said later."""
        self.connection += 1

    @rule(age=st.integers(0, 3))
    def lose(self, age: int) -> None:
        """A connection is gone, or it is said once more of an old one."""
        connection = max(0, self.connection - age)
        self.ledger.connection_lost(connection)
        self.lost = max(self.lost, connection)
        self.waiting = [packet for packet in self.waiting if packet.connection > self.lost]

    @precondition(lambda self: self.completed)
    @rule(data=st.data())
    def complete_again(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.completed)))
        with pytest.raises(ValueError, match=f"batch {number} was completed before"):
            self.ledger.completed(number)

    @invariant()
    def in_flight_is_what_can_still_be_released(self) -> None:
        assert self.ledger.in_flight == len(self.waiting)

    @invariant()
    def what_is_remembered_is_what_was_not_released(self) -> None:
        first_open = min(self.open, default=self.batches + 1)
        assert self.ledger.batches == self.batches + 1 - first_open


LedgerMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, derandomize=True
)
TestLedgerMachine = LedgerMachine.TestCase
