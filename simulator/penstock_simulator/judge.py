"""Decides whether what is in a database is what a ledger says was sent.

The judge is fed rows and dead letters, in any order, and keeps a counter for each reading: its
memory is bounded by what was published, whatever the database holds. It does no I/O, and shares
no code with what it judges: every value is computed again from the ledger's fleet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from penstock_simulator.abuse import abuse_of, marker_pattern
from penstock_simulator.account import Account, Latency, TenantAccount
from penstock_simulator.census import Census, Flags
from penstock_simulator.expectation import Expectation, Readings
from penstock_simulator.fleet import Numbers, Series
from penstock_simulator.ledger import Ledger
from penstock_simulator.letters import Letter, LetterReader
from penstock_simulator.rows import Rows
from penstock_simulator.series_table import SeriesTable

LATEST_US = 2**63 - 1


class Judge:
    """Reconciles one run with the series that a database has of it."""

    def __init__(self, ledger: Ledger, series: Mapping[int, Series]) -> None:
        fleet = ledger.fleet
        self._ledger = ledger
        self._fleet = fleet
        self._census = Census(ledger)
        self._series = SeriesTable(fleet, series)
        self._expectation = Expectation(fleet)
        shape = (self._census.total, fleet.values_per_message)
        self._seen = np.zeros(shape, dtype=np.uint16)
        self._refused = np.zeros(shape, dtype=np.bool_)
        self._transactions = np.zeros(self._census.total, dtype=np.int64)
        self._committed_us = np.zeros(self._census.total, dtype=np.int64)
        self._read_letter = LetterReader(fleet).read
        self._letters: Counter[tuple[int, int]] = Counter()
        self._reasons: Counter[str] = Counter()
        self._corrupt = self._invented = self._misjudged = 0

    @property
    def transactions(self) -> Numbers:
        """The transactions that stored something of this run, ascending."""
        return np.unique(self._transactions[self._transactions > 0])

    @property
    def commits_us(self) -> Numbers:
        """When each stored message was committed, ascending; empty where that is not known."""
        return np.sort(self._committed_us[self._committed_us > 0])

    def add_rows(self, rows: Rows) -> None:
        """Judge stored rows under this run's names, be they numbers or texts."""
        device, metric = self._series.find(rows.series_id)
        readings = self._expectation.identify(device, metric, rows.ts_us, rows.value)
        message = self._find(readings)
        is_text = rows.quality is None
        explained = (message >= 0) & (self._expectation.is_text(metric) == is_text)
        self._invented += int((~explained).sum())
        rows, readings = rows.where(explained), readings.where(explained)
        message = message[explained]
        np.add.at(self._seen, (message, self._expectation.positions(readings)), 1)
        self._transactions[message] = rows.transaction
        right = self._expectation.right(readings, rows.value, rows.quality)
        self._corrupt += int((~right).sum())

    def add_letters(self, letters: Iterable[Letter]) -> None:
        """Judge dead letters under this run's names."""
        pattern = marker_pattern(self._fleet.tag)
        for letter in letters:
            found = pattern.search(letter.payload)
            if found is not None:
                self._add_abuse(int(found[1]), int(found[2]), letter.reason)
            else:
                self._add_refused(letter)

    def learn_commits(self, committed_us: Numbers) -> None:
        """Say when each of `transactions` was committed."""
        stored = self._transactions > 0
        at = np.searchsorted(self.transactions, self._transactions[stored])
        self._committed_us[stored] = committed_us[at]

    def commits(self) -> tuple[Numbers, Numbers]:
        """When each stored message was due, and when it was committed, where that is known."""
        stored = self._committed_us > 0
        return self._census.due_us()[stored], self._committed_us[stored]

    def fates(self) -> tuple[Numbers, Numbers]:
        """When each message was due, and when it was committed; 0 where that is not known."""
        return self._census.due_us(), self._committed_us

    def waits(self, since_us: int = 0, until_us: int = LATEST_US) -> Numbers:
        """From due to committed in µs, for stored messages that were due in a span of time."""
        due_us = self._census.due_us()
        chosen = (self._committed_us > 0) & (due_us >= since_us) & (due_us < until_us)
        waits: Numbers = self._committed_us[chosen] - due_us[chosen]
        return waits

    def latency(self, since_us: int = 0, until_us: int = LATEST_US) -> Latency:
        """Percentiles of `waits`."""
        return Latency.of(self.waits(since_us, until_us))

    def account(self) -> Account:
        """The verdict on all that was fed."""
        acknowledged = self._census.acknowledged()
        stored = self._seen > 0
        lost = (acknowledged[:, np.newaxis] & ~stored & ~self._refused).sum(axis=1)
        unanswered = [at for at in self._census.acknowledged_abuse() if at not in self._letters]
        again = int(self._seen.sum(dtype=np.int64)) - int(stored.sum())
        seconds = self._seconds()
        return Account(
            published=self._ledger.published,
            acknowledged=self._ledger.acknowledged,
            expected_readings=int(acknowledged.sum()) * self._fleet.values_per_message,
            stored_readings=int(stored.sum()),
            lost=int(lost.sum()) + len(unanswered),
            duplicates=0 if self._fleet.untimed else again,
            restamped=again if self._fleet.untimed else 0,
            corrupt=self._corrupt,
            invented=self._invented,
            both=int((stored & self._refused).sum()),
            refused=int(self._refused.sum()),
            misjudged=self._misjudged,
            dead_lettered=dict(sorted(self._reasons.items())),
            repeated_dead_letters=sum(self._letters.values()) - len(self._letters),
            latency_ms=self.latency(),
            messages_per_second=round(
                (int(stored.any(axis=1).sum()) + len(self._letters)) / seconds, 1
            ),
            readings_per_second=round(int(stored.sum()) / seconds, 1),
            tenants=self._by_tenant(acknowledged, stored.sum(axis=1), lost, unanswered),
        )

    def _by_tenant(
        self,
        acknowledged: Flags,
        stored: Numbers,
        lost: Numbers,
        unanswered: list[tuple[int, int]],
    ) -> dict[str, TenantAccount]:
        tenant, count = self._census.tenants(), self._fleet.tenants
        published, answered = self._census.published_by_tenant()
        letters = Counter(self._census.tenant_of_abuse(*at) for at in self._letters)
        missing = Counter(self._census.tenant_of_abuse(*at) for at in unanswered)
        expected = np.bincount(tenant[acknowledged], minlength=count)
        stored, lost = (
            np.bincount(tenant, weights=each, minlength=count).astype(np.int64)
            for each in (stored, lost)
        )
        return {
            self._fleet.tenant(number): TenantAccount(
                published=int(published[number]),
                acknowledged=int(answered[number]),
                expected_readings=int(expected[number]) * self._fleet.values_per_message,
                stored_readings=int(stored[number]),
                lost=int(lost[number]) + missing[number],
                dead_lettered=letters[number],
            )
            for number in range(count)
        }

    def _find(self, readings: Readings) -> Numbers:
        return self._census.find(readings.device, self._expectation.messages(readings))

    def _add_abuse(self, lane: int, number: int, reason: str) -> None:
        if not self._census.was_abuse(lane, number):
            self._invented += 1
            return
        self._letters[lane, number] += 1
        if self._letters[lane, number] == 1:
            self._reasons[reason] += 1
            self._misjudged += reason != abuse_of(self._fleet, lane, number).reason

    def _add_refused(self, letter: Letter) -> None:
        """A dead letter without a marker: of a well-formed message, or of some of its readings."""
        device, refused = self._read_letter(letter)
        count = len(refused)
        readings = self._expectation.identify(
            np.full(count, device, dtype=np.int64),
            np.array([reading.metric for reading in refused], dtype=np.int64),
            np.array([reading.ts_us for reading in refused], dtype=np.int64),
            np.array([reading.value for reading in refused], dtype=np.float64),
        )
        message = self._find(readings)
        if not count or (message < 0).any():
            self._invented += 1
            return
        self._reasons[letter.reason] += 1
        self._refused[message, self._expectation.positions(readings)] = True

    def _seconds(self) -> float:
        first, last = self._ledger.span_us
        if self._census.total:
            last = max(last, int(self._committed_us.max()))
        return max(last - first, 1) / 1_000_000
