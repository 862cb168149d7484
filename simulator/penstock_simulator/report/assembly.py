"""Makes the record of a run from what its groups sent, what judges found, and the samples."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock_simulator.account import Account, combined
from penstock_simulator.account import Latency as AccountLatency
from penstock_simulator.effort import Effort
from penstock_simulator.fleet import Numbers
from penstock_simulator.judge import Judge
from penstock_simulator.knee import Climb
from penstock_simulator.lateness import NEVER, Lateness, lateness_of
from penstock_simulator.ledger import Ledger
from penstock_simulator.percentiles import Percentiles, per_second
from penstock_simulator.report.machine import this_machine, versions
from penstock_simulator.report.record import (
    Curve,
    Event,
    Group,
    Latencies,
    Record,
    Timeline,
    Workload,
)
from penstock_simulator.sampling import Column, Samples

_SECOND_US = 1_000_000
_CURVE_POINTS_PER_NINE = 12
_CURVE_NINES = 6


class Part(NamedTuple):
    """A group as it went."""

    name: str
    ledger: Ledger
    judge: Judge | None = None
    """What was found of it in the database; None where none was asked."""


class Told(NamedTuple):
    """What the run says of itself."""

    scenario: str
    story: str
    command: str
    seed: int
    effort: Effort | None = None
    events: Sequence[Event] = ()
    climb: Climb | None = None


def record_of(told: Told, parts: Sequence[Part], samples: Samples) -> Record:
    """The record of a run that is over."""
    times = [_Times.of(part) for part in parts]
    whole = _Times.joined(times)
    accounts = [None if part.judge is None else part.judge.account() for part in parts]
    first_us, last_us = whole.span_us
    return Record(
        scenario=told.scenario,
        story=told.story,
        command=told.command,
        seed=told.seed,
        began_at=_moment(first_us) if first_us else None,
        seconds=round((last_us - first_us) / 1e6, 3),
        account=_sum([account for account in accounts if account is not None], whole),
        published=len(whole.sent.sent_us),
        acknowledged=len(whole.sent.puback_us),
        latencies=whole.latencies,
        curve=_curve(whole),
        timeline=_timeline(whole),
        samples=samples,
        workload=None if told.effort is None else _workload(told.effort),
        groups=[
            Group(
                name=part.name,
                fleet=msgspec.to_builtins(part.ledger.fleet),
                published=len(own.sent.sent_us),
                acknowledged=len(own.sent.puback_us),
                latencies=own.latencies,
                account=account,
            )
            for part, own, account in zip(parts, times, accounts, strict=True)
        ],
        events=list(told.events),
        ramp=told.climb,
        machine=this_machine(),
        versions=versions(),
    )


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds")


class _Times(NamedTuple):
    """When everything happened, in µs since the epoch."""

    sent: Lateness
    stored_due_us: Numbers
    """When each stored message was due."""
    committed_us: Numbers
    """When it was committed."""

    @classmethod
    def of(cls, part: Part) -> "_Times":
        if part.judge is None:
            return cls(lateness_of(part.ledger), _NO_TIMES, _NO_TIMES)
        return cls(lateness_of(part.ledger), *part.judge.commits())

    @classmethod
    def joined(cls, parts: "Sequence[_Times]") -> "_Times":
        sent = Lateness(*(np.concatenate(c) for c in zip(*(p.sent for p in parts), strict=True)))
        return cls(
            sent,
            np.concatenate([part.stored_due_us for part in parts]),
            np.concatenate([part.committed_us for part in parts]),
        )

    @property
    def latencies(self) -> Latencies:
        return Latencies(
            acknowledged=Percentiles.of(self.sent.puback_us),
            committed=Percentiles.of(self.commit_waits_us),
        )

    @property
    def commit_waits_us(self) -> Numbers:
        waits: Numbers = self.committed_us - self.stored_due_us
        return waits

    @property
    def acknowledged(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.sent.acknowledged_us != NEVER
        return known

    @property
    def span_us(self) -> tuple[int, int]:
        """When the first and the last message were sent."""
        sent_us = self.sent.sent_us
        return (int(sent_us.min()), int(sent_us.max())) if len(sent_us) else (0, 0)

    @property
    def end_us(self) -> int:
        """When the last thing happened."""
        columns = (self.sent.sent_us, self.sent.acknowledged_us, self.committed_us)
        return max((int(times.max()) for times in columns if len(times)), default=0)


_NO_TIMES = np.zeros(0, dtype=np.int64)


def _sum(accounts: Sequence[Account], times: _Times) -> Account | None:
    if not accounts:
        return None
    return combined(accounts, AccountLatency.of(times.commit_waits_us))


def _curve(times: _Times) -> Curve:
    nines = np.linspace(0, _CURVE_NINES, _CURVE_NINES * _CURVE_POINTS_PER_NINE + 1)
    shares = 1 - 10.0**-nines
    longest = max(len(times.sent.puback_us), len(times.committed_us), 1)
    shares = shares[shares <= 1 - 1 / longest]
    return Curve(
        shares=[round(share, 7) for share in shares.tolist()],
        acknowledged_ms=_quantiles_ms(times.sent.puback_us, shares),
        committed_ms=_quantiles_ms(times.commit_waits_us, shares),
    )


def _quantiles_ms(waits_us: Numbers, shares: NDArray[np.float64]) -> list[float]:
    if not len(waits_us):
        return []
    return [round(value, 3) for value in (np.quantile(waits_us, shares) / 1_000).tolist()]


def _timeline(times: _Times) -> Timeline:
    since_us, _ = times.span_us
    seconds = (times.end_us - since_us) // _SECOND_US + 1
    until_us = since_us + seconds * _SECOND_US
    acknowledged = times.acknowledged
    answered_us = times.sent.acknowledged_us[acknowledged]
    due_us = times.sent.due_us[acknowledged]
    p50, p99 = _by_second(due_us, answered_us - due_us, since_us, seconds)
    stored_p50, stored_p99 = _by_second(
        times.stored_due_us, times.commit_waits_us, since_us, seconds
    )
    return Timeline(
        at_seconds=[float(second + 1) for second in range(seconds)],
        published=per_second(times.sent.sent_us, since_us, until_us).tolist(),
        acknowledged=_counts(answered_us, since_us, until_us),
        committed=_counts(times.committed_us, since_us, until_us),
        acknowledged_p50_ms=p50,
        acknowledged_p99_ms=p99,
        committed_p50_ms=stored_p50,
        committed_p99_ms=stored_p99,
    )


def _counts(times_us: Numbers, since_us: int, until_us: int) -> list[int]:
    counts: list[int] = per_second(times_us, since_us, until_us).tolist()
    return counts if len(times_us) else []


def _by_second(
    due_us: Numbers, waits_us: Numbers, since_us: int, seconds: int
) -> tuple[Column, Column]:
    """The 50th and the 99th percentile of each second in ms; None for one in which none was due."""
    if not len(due_us):
        return [], []
    # What was due before the first message was sent counts to the first second.
    second = np.maximum(0, due_us - since_us) // _SECOND_US
    order = np.argsort(second, kind="stable")
    edges = np.searchsorted(second[order], np.arange(seconds + 1))
    p50: Column = []
    p99: Column = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        within = Percentiles.of(waits_us[order[start:stop]])
        p50.append(within.p50)
        p99.append(within.p99)
    return p50, p99


def _workload(effort: Effort) -> Workload:
    return Workload(
        cpu_share=round(effort.cpu_share, 4),
        late_share=round(effort.late_share, 4),
        limits=effort.limits,
    )
