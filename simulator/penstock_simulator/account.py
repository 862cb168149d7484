"""The account of a run: what was sent, what was stored, and what does not add up."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from penstock_simulator.fleet import Numbers


class Latency(msgspec.Struct, frozen=True):
    """From when a message was due to its commit in the database, in ms.

    A message is due when the schedule says, however late it was sent (no coordinated omission); in
    a run without one, when it was handed to the publisher's socket.
    """

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, waits_us: Numbers) -> Self:
        """The percentiles of some waits; empty when there are none."""
        if not len(waits_us):
            return cls(None, None)
        p50, p99 = np.percentile(waits_us / 1_000, [50, 99])
        return cls(round(float(p50), 3), round(float(p99), 3))


class TenantAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's part of an account; every count is as in `Account`."""

    published: int
    acknowledged: int
    expected_readings: int
    stored_readings: int
    lost: int
    dead_lettered: int
    """Messages that had to be refused and were."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What the oracle found. Counts are of messages or of readings, as each says."""

    published: int
    """Messages sent, each counted once however often MQTT sent it."""
    acknowledged: int
    """Messages that the broker acknowledged; none at QoS 0."""
    expected_readings: int
    """Readings of acknowledged, well-formed messages."""
    stored_readings: int
    """Readings of this run in the database, each counted once."""
    lost: int
    """Readings of acknowledged messages that are neither stored nor dead-lettered, and acknowledged
    malformed messages without a dead letter."""
    duplicates: int
    """Rows beyond the first for the same reading."""
    corrupt: int
    """Rows whose value or quality is not what was sent."""
    invented: int
    """Rows and dead letters under this run's names that no message which was sent explains."""
    both: int
    """Readings that are stored and dead-lettered."""
    refused: int
    """Well-formed readings that were dead-lettered."""
    misjudged: int
    """Malformed messages whose dead letter gives another reason than the right one."""
    dead_lettered: dict[str, int]
    """Messages with a dead letter, by its reason."""
    repeated_dead_letters: int
    """Dead letters beyond the first for the same message: allowed after a crash."""
    latency_ms: Latency
    """Empty where the database does not keep commit timestamps."""
    messages_per_second: float
    """Stored and dead-lettered messages, from the first sent to the last committed."""
    readings_per_second: float
    restamped: int = 0
    """Rows beyond the first for the same reading, where readings carry no time of their own and are
    stamped on receipt: allowed after a crash."""
    tenants: dict[str, TenantAccount] = {}
    """The part of each tenant."""

    INVARIANTS: ClassVar[tuple[str, ...]] = (
        "lost",
        "duplicates",
        "corrupt",
        "invented",
        "both",
        "refused",
        "misjudged",
    )
    """The counts that must be 0."""

    @property
    def holds(self) -> bool:
        """Whether every invariant holds."""
        return not self.faults

    @property
    def faults(self) -> dict[str, int]:
        """The counts that must be 0 and are not."""
        return {name: getattr(self, name) for name in self.INVARIANTS if getattr(self, name)}

    def report(self) -> dict[str, Any]:
        """The part of the account that `REPORT` files hold."""
        everything: dict[str, Any] = msgspec.to_builtins(self)
        return {name: everything[name] for name in _REPORTED}


def combined(accounts: Sequence[Account], latency: Latency) -> Account:
    """The account of several fleets of one run, with the latency of all of their messages.

    Tenants of the same name are one.
    """
    counts: dict[str, Any] = {name: sum(getattr(a, name) for a in accounts) for name in _COUNTS}
    letters: Counter[str] = Counter()
    tenants: dict[str, TenantAccount] = {}
    for account in accounts:
        letters.update(account.dead_lettered)
        for name, tenant in account.tenants.items():
            tenants[name] = _added(tenants[name], tenant) if name in tenants else tenant
    return Account(
        **counts, dead_lettered=dict(sorted(letters.items())), latency_ms=latency, tenants=tenants
    )


def _added(one: TenantAccount, other: TenantAccount) -> TenantAccount:
    fields = TenantAccount.__struct_fields__
    return TenantAccount(**{name: getattr(one, name) + getattr(other, name) for name in fields})


_COUNTS = tuple(
    name
    for name in Account.__struct_fields__
    if name not in ("dead_lettered", "latency_ms", "tenants")
)
_REPORTED = (
    "published",
    "acknowledged",
    "expected_readings",
    "stored_readings",
    "lost",
    "duplicates",
    "corrupt",
    "dead_lettered",
    "latency_ms",
    "messages_per_second",
    "readings_per_second",
)
