"""Decides whether what is in a database is what a ledger says was sent.

The judge is fed rows and dead letters, in any order, and keeps a counter for each reading: its
memory is bounded by what was published, whatever the database holds. It does no I/O, and shares
no code with what it judges: every value is computed again from the ledger's fleet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.abuse import abuse_of, marker_pattern
from penstock_simulator.account import Account, Latency
from penstock_simulator.census import Census
from penstock_simulator.fleet import Numbers, Series
from penstock_simulator.identity import keys_of
from penstock_simulator.ledger import Ledger
from penstock_simulator.letters import Letter, LetterReader
from penstock_simulator.series_table import SeriesTable
from penstock_simulator.signals import signal_of, thousandths

GOOD_QUALITY = 192
LATEST_US = 2**63 - 1


class Rows(NamedTuple):
    """Stored readings, in columns."""

    series_id: Numbers
    ts_us: Numbers
    value: NDArray[np.float64]
    quality: Numbers
    transaction: Numbers
    """The transaction that wrote each row."""

    def where(self, which: NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        return Rows(
            self.series_id[which],
            self.ts_us[which],
            self.value[which],
            self.quality[which],
            self.transaction[which],
        )


class Judge:
    """Reconciles one run with the series that a database has of it."""

    def __init__(self, ledger: Ledger, series: Mapping[int, Series]) -> None:
        fleet = ledger.fleet
        self._ledger = ledger
        self._fleet = fleet
        self._census = Census(ledger)
        self._series = SeriesTable(fleet, series)
        self._keys = keys_of(fleet.seed, list(fleet.series())).reshape(fleet.size, fleet.metrics)
        self._seen = np.zeros((self._census.total, fleet.metrics), dtype=np.uint16)
        self._refused = np.zeros((self._census.total, fleet.metrics), dtype=np.bool_)
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
        """Judge stored rows under this run's names."""
        device, metric = self._series.find(rows.series_id)
        sequence = np.where(device >= 0, self._fleet.sequences(device, rows.ts_us), -1)
        message = self._census.find(device, sequence)
        explained = message >= 0
        self._invented += int((~explained).sum())
        rows, message = rows.where(explained), message[explained]
        device, metric, sequence = device[explained], metric[explained], sequence[explained]
        np.add.at(self._seen, (message, metric), 1)
        self._transactions[message] = rows.transaction
        wrong = rows.value != self._values(device, metric, sequence, rows.ts_us)
        self._corrupt += int((wrong | (rows.quality != GOOD_QUALITY)).sum())

    def add_invented(self, count: int) -> None:
        """Count rows under this run's names where there must be none."""
        self._invented += count

    def add_letters(self, letters: Iterable[Letter]) -> None:
        """Judge dead letters under this run's names."""
        pattern = marker_pattern(self._fleet.tag)
        for letter in letters:
            found = pattern.search(letter.payload)
            if found is not None:
                self._add_malformed(int(found[1]), int(found[2]), letter.reason)
            else:
                self._add_refused(letter)

    def learn_commits(self, committed_us: Numbers) -> None:
        """Say when each of `transactions` was committed."""
        stored = self._transactions > 0
        at = np.searchsorted(self.transactions, self._transactions[stored])
        self._committed_us[stored] = committed_us[at]

    def latency(self, since_us: int = 0, until_us: int = LATEST_US) -> Latency:
        """From sent to committed, for the stored messages that were sent in a span of time."""
        sent_us = self._census.sent_us()
        chosen = (self._committed_us > 0) & (sent_us >= since_us) & (sent_us < until_us)
        if not chosen.any():
            return Latency(None, None)
        waited_ms = (self._committed_us[chosen] - sent_us[chosen]) / 1_000
        p50, p99 = np.percentile(waited_ms, [50, 99])
        return Latency(round(float(p50), 3), round(float(p99), 3))

    def account(self) -> Account:
        """The verdict on all that was fed."""
        acknowledged = self._census.acknowledged()
        stored = self._seen > 0
        lost = acknowledged[:, np.newaxis] & ~stored & ~self._refused
        malformed = self._census.malformed_acknowledged()
        stored_readings = int(stored.sum())
        stored_messages = int(stored.any(axis=1).sum())
        seconds = self._seconds()
        return Account(
            published=self._ledger.published,
            acknowledged=self._ledger.acknowledged,
            expected_readings=int(acknowledged.sum()) * self._fleet.metrics,
            stored_readings=stored_readings,
            lost=int(lost.sum()) + sum(place not in self._letters for place in malformed),
            duplicates=int(self._seen.sum(dtype=np.int64)) - stored_readings,
            corrupt=self._corrupt,
            invented=self._invented,
            both=int((stored & self._refused).sum()),
            refused=int(self._refused.sum()),
            misjudged=self._misjudged,
            dead_lettered=dict(sorted(self._reasons.items())),
            repeated_dead_letters=sum(self._letters.values()) - len(self._letters),
            latency_ms=self.latency(),
            messages_per_second=round((stored_messages + len(self._letters)) / seconds, 1),
            readings_per_second=round(stored_readings / seconds, 1),
        )

    def _values(
        self, device: Numbers, metric: Numbers, sequence: Numbers, ts_us: Numbers
    ) -> NDArray[np.float64]:
        values = np.zeros(len(ts_us), dtype=np.float64)
        for number, name in enumerate(self._fleet.metric_names):
            here = metric == number
            keys = self._keys[device[here], number]
            exact = thousandths(signal_of(name), keys, sequence[here], ts_us[here])
            values[here] = exact / 1_000
        return values

    def _add_malformed(self, lane: int, number: int, reason: str) -> None:
        if not self._census.was_malformed(lane, number):
            self._invented += 1
            return
        self._letters[lane, number] += 1
        if self._letters[lane, number] == 1:
            self._reasons[reason] += 1
            self._misjudged += reason != abuse_of(self._fleet.seed, lane, number).reason

    def _add_refused(self, letter: Letter) -> None:
        """A dead letter without a marker: of a well-formed message, or of one of its readings."""
        device, ts_us, metrics = self._read_letter(letter)
        devices = np.array([device])
        sequence = self._fleet.sequences(devices, np.array([ts_us]))
        message = int(self._census.find(devices, sequence)[0])
        if message < 0:
            self._invented += 1
            return
        self._reasons[letter.reason] += 1
        self._refused[message, metrics] = True

    def _seconds(self) -> float:
        first, last = self._ledger.span_us
        if self._census.total:
            last = max(last, int(self._committed_us.max()))
        return max(last - first, 1) / 1_000_000
