import pytest
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


class LedgerMachine(RuleBasedStateMachine):
    """Against a model that keeps every batch and looks for the first that is not completed."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = AckLedger()
        self.connection = 1
        self.lost = 0
        self.batches: list[tuple[int, list[int]]] = []
        self.open: set[int] = set()
        self.released = 0

    @rule(ids=packet_ids, late=st.booleans())
    def seal(self, ids: list[int], late: bool) -> None:
        """A batch is sealed; `late` is one whose connection is gone already."""
        connection = max(1, self.connection - late)
        self.batches.append((connection, ids if connection > self.lost else []))
        self.open.add(len(self.batches))
        self.ledger.sealed(len(self.batches), connection, ids)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        self.open.remove(number)
        releases = self.ledger.completed(number)
        until = min(self.open, default=len(self.batches) + 1) - 1
        due = [
            (connection, packet_id)
            for connection, ids in self.batches[self.released : until]
            for packet_id in ids
        ]
        self.released = max(self.released, until)
        assert [(r.connection, packet_id) for r in releases for packet_id in r.packet_ids] == due

    @rule()
    def reconnect(self) -> None:
        self.lost = self.connection
        self.connection += 1
        self.ledger.connection_lost(self.lost)
        self.batches[self.released :] = [(c, []) for c, _ in self.batches[self.released :]]

    @invariant()
    def in_flight_is_what_was_not_released(self) -> None:
        pending = self.batches[self.released :]
        assert self.ledger.in_flight == sum(len(ids) for _, ids in pending)
        assert self.ledger.batches == len(pending)


TestLedgerMachine = LedgerMachine.TestCase
