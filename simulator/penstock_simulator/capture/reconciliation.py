"""Compares what should have been stored of a replay with what was. Pure.

A reading is known by its series, its time and its value: however often a capture has it, or was
published, it is to be stored once. Readings that carry no time are counted, for the time at which
the daemon received them is not known.
"""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np

from penstock_simulator.capture.expected import Expected, Readings
from penstock_simulator.capture.likeness import NONE, codes, found_in
from penstock_simulator.capture.stored import Commits, Stored, StoredRows
from penstock_simulator.fleet import Numbers
from penstock_simulator.percentiles import Percentiles


class Deliveries(NamedTuple):
    """How many times each message of a capture was published."""

    sent: Numbers
    acknowledged: Numbers
    """As far as the broker said so: never of QoS 0."""
    due_us: Numbers
    """When each was due for the first time, in µs since the epoch; NEVER where it was not sent."""


NEVER = np.iinfo(np.int64).max


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was expected, what was found, and what does not add up. Counts are of readings."""

    expected_readings: int
    """Of acknowledged messages, each reading once."""
    stored_readings: int
    """Of all messages that were sent."""
    stored_before: int
    """Of these, those that carry a time and were there before anything was published."""
    committed_ms: Percentiles
    """From when a reading's message was due, for the first time, to its commit; of the others."""
    unconfirmed_readings: int
    """Of messages that nobody acknowledged, as those of QoS 0: they may be missing."""
    unconfirmed_stored: int
    """Of these, stored all the same."""
    lost: int
    """Expected, and not stored."""
    corrupt: int
    """Stored with another value or quality than was sent."""
    duplicates: int
    """Rows beyond the first of a reading."""
    invented: int
    """Rows that nothing which was sent explains; looked for in a database of the replay's own."""
    letters_expected: dict[str, int]
    """Acknowledged messages that have to become dead letters, by reason."""
    letters_found: dict[str, int]
    """Dead letters under the topics of the capture since the replay began, by reason."""
    letters_missing: int
    unrouted_messages: int
    """Messages that no route of the configuration takes."""

    INVARIANTS: ClassVar[tuple[str, ...]] = (
        "lost",
        "corrupt",
        "duplicates",
        "invented",
        "letters_missing",
    )
    """The counts that must be 0."""

    @property
    def faults(self) -> dict[str, int]:
        """The counts that must be 0 and are not."""
        return {name: getattr(self, name) for name in self.INVARIANTS if getattr(self, name)}

    @property
    def holds(self) -> bool:
        """Whether everything adds up, and not because nothing of it arrived at all."""
        return not self.faults and not self.vain

    @property
    def vain(self) -> bool:
        """Whether nothing arrived of readings that nobody acknowledged, so that no loss shows."""
        return self.unconfirmed_readings > 0 and not self.arrived

    @property
    def nothing_new(self) -> bool:
        """Whether all that is stored was there before, so that this replay shows nothing."""
        return 0 < self.stored_readings <= self.stored_before

    @property
    def confirmed(self) -> bool:
        """Whether anything was acknowledged that has to be there."""
        return self.expected_readings > 0 or bool(self.letters_expected)

    @property
    def arrived(self) -> int:
        """How much of it is there."""
        return self.stored_readings + sum(self.letters_found.values())

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, of what may be missing neither."""
        stored_all = self.stored_readings >= self.expected_readings + self.unconfirmed_readings
        return stored_all and not self.lost and not self.letters_missing


def count_stored(expected: Expected, captured: int, stored: Stored) -> int:
    """How many readings of a capture are there that carry a time, whoever published them."""
    once = np.ones(captured, dtype=np.int64)
    all_sent = Deliveries(sent=once, acknowledged=0 * once, due_us=np.full(captured, NEVER))
    numbers = _compare(expected.numbers, all_sent, stored.numbers, None)
    return numbers.stored + _compare(expected.texts, all_sent, stored.texts, None).stored


def reconcile(
    expected: Expected,
    deliveries: Deliveries,
    stored: Stored,
    *,
    own_database: bool,
    stored_before: int = 0,
) -> Reconciliation:
    """Compare; `own_database` says that nothing but the replay wrote to it."""
    tables = [
        _compare(readings, deliveries, rows, stored.commits)
        for readings, rows in (
            (expected.numbers, stored.numbers),
            (expected.texts, stored.texts),
        )
    ]
    waits_us = np.concatenate([table.waits_us for table in tables])
    stamped = _count_stamped(expected, deliveries, [table.unexplained for table in tables])
    letters = {
        str(reason): int(deliveries.acknowledged[messages].sum())
        for reason, messages in expected.refused.items()
    }
    return Reconciliation(
        expected_readings=sum(table.expected for table in tables) + stamped.expected,
        stored_readings=sum(table.stored for table in tables) + stamped.stored,
        stored_before=stored_before,
        committed_ms=Percentiles.of(waits_us[waits_us >= 0]),
        unconfirmed_readings=sum(table.unconfirmed for table in tables) + stamped.unconfirmed,
        unconfirmed_stored=sum(table.unconfirmed_stored for table in tables)
        + stamped.unconfirmed_stored,
        lost=sum(table.lost for table in tables) + stamped.lost,
        corrupt=sum(table.corrupt for table in tables),
        duplicates=sum(table.duplicates for table in tables),
        invented=stamped.strange if own_database else 0,
        letters_expected={reason: count for reason, count in sorted(letters.items()) if count},
        letters_found=dict(sorted(stored.letters.items())),
        letters_missing=sum(
            max(0, count - stored.letters.get(reason, 0)) for reason, count in letters.items()
        ),
        unrouted_messages=expected.unrouted,
    )


class _Table(NamedTuple):
    """The comparison of the readings that carry their own time, in one of the tables."""

    expected: int
    stored: int
    unconfirmed: int
    unconfirmed_stored: int
    lost: int
    corrupt: int
    duplicates: int
    unexplained: Numbers
    """The series of rows that are none of these readings."""
    waits_us: Numbers
    """From due to commit, of the rows that are; empty where that is not known."""


def _compare(
    readings: Readings, deliveries: Deliveries, rows: StoredRows, commits: Commits | None
) -> _Table:
    sent = deliveries.sent[readings.message] > 0
    confirmed = deliveries.acknowledged[readings.message] > 0
    ours, meant = found_in(readings, rows, sent)
    known = meant != NONE
    wanted, maybe = np.unique(ours[confirmed]), np.unique(ours[sent])
    missing = sent & ~np.isin(ours, meant)
    places, row_places = codes((readings.series, rows.series), (readings.ts_us, rows.ts_us))
    altered = ~known & np.isin(row_places, places[missing])
    lost = np.unique(ours[missing & confirmed & ~np.isin(places, row_places[altered])])
    samples, row_samples = codes((ours, meant), (readings.quality, rows.quality))
    spoilt = known & ~np.isin(row_samples, samples[sent])
    waits_us = np.zeros(0, dtype=np.int64)
    if commits is not None:
        due_us = np.full(len(ours) + len(meant), NEVER)
        np.minimum.at(due_us, ours[sent], deliveries.due_us[readings.message[sent]])
        committed_us = commits.of(rows.transaction[known])
        waits_us = (committed_us - due_us[meant[known]])[committed_us > 0]
    there = np.unique(meant[known])
    return _Table(
        expected=len(wanted),
        stored=len(there),
        unconfirmed=len(maybe) - len(wanted),
        unconfirmed_stored=int((~np.isin(there, wanted)).sum()),
        lost=len(lost),
        corrupt=int(altered.sum() + spoilt.sum()),
        duplicates=int(known.sum()) - len(there),
        unexplained=rows.series[~known & ~altered],
        waits_us=waits_us,
    )


class _Stamped(NamedTuple):
    """The count of the readings that carry no time."""

    expected: int
    stored: int
    unconfirmed: int
    unconfirmed_stored: int
    lost: int
    strange: int
    """Rows that are not even of a series of these readings."""


def _count_stamped(
    expected: Expected, deliveries: Deliveries, unexplained: Iterable[Numbers]
) -> _Stamped:
    size = len(expected.series)
    rows = np.concatenate(list(unexplained))
    found = np.bincount(rows[rows >= 0], minlength=size)
    acknowledged, sent = (
        np.bincount(
            expected.stamped_series, weights=counts[expected.stamped], minlength=size
        ).astype(np.int64)
        for counts in (deliveries.acknowledged, deliveries.sent)
    )
    stored = np.minimum(found, sent)
    return _Stamped(
        expected=int(acknowledged.sum()),
        stored=int(stored.sum()),
        unconfirmed=int((sent - acknowledged).sum()),
        unconfirmed_stored=int(np.maximum(0, stored - acknowledged).sum()),
        lost=int(np.maximum(0, acknowledged - found).sum()),
        # A message that MQTT delivers again is stamped again, so more of them than were sent are
        # no fault (see Penstock's promise about duplicates).
        strange=int((rows < 0).sum() + found[sent == 0].sum()),
    )
