"""From the present state of the stages to what probes and people ask: is it well, and if not, why.

Pure: levels and counts in, answers out.
"""

from datetime import UTC, datetime

import msgspec

from penstock import __version__
from penstock.observability.levels import Levels
from penstock.observability.metrics import Metrics


class LedgerAnswer(msgspec.Struct, frozen=True):
    """The account of every reading, over all tenants."""

    balanced: bool
    """Whether every reading is accounted for, for each tenant."""
    received: int
    stored: int
    duplicate: int
    dead_lettered: int
    in_flight: int
    spooled: int
    shed: int
    imbalance: int
    """Readings unaccounted for, summed over the tenants without regard to sign."""


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /health`."""

    status: str
    """`healthy` or `degraded`."""
    service: str
    """`ok`, `starting`, `stopping`, or `degraded`."""
    timestamp: str
    """RFC 3339, UTC."""
    uptime: float
    """Seconds."""
    version: str
    queue_depth: int
    """Rows received and not committed yet."""
    db: str
    """`connected` or `disconnected`."""
    mqtt: str
    """`connected` or `disconnected`."""
    spool: str
    """`off`, `usable`, `full` or `unusable`."""
    reasons: list[str]
    """What keeps it from being healthy; empty when it is."""
    ledger: LedgerAnswer


class ReadyAnswer(msgspec.Struct, frozen=True):
    """The body of `GET /health/ready`."""

    ready: bool
    reasons: list[str]


def health(levels: Levels, metrics: Metrics) -> HealthAnswer:
    """How well the daemon is: ready, and with every reading accounted for."""
    reasons = [*_not_ready(levels), *_unprotected(levels), *_unbalanced(metrics)]
    service = levels.phase if levels.phase != "running" else "degraded"
    return HealthAnswer(
        status="degraded" if reasons else "healthy",
        service=service if reasons else "ok",
        timestamp=_rfc3339(metrics.clock.now_us()),
        uptime=round(metrics.uptime_seconds, 3),
        version=__version__,
        queue_depth=levels.building_rows + levels.queue_rows,
        db=_connected(yes=levels.database_connected),
        mqtt=_connected(yes=levels.mqtt_connected),
        spool=levels.spool.state,
        reasons=reasons,
        ledger=_ledger(metrics),
    )


def readiness(levels: Levels) -> ReadyAnswer:
    """Whether messages flow from the broker to the database, and what is in the way."""
    reasons = _not_ready(levels)
    return ReadyAnswer(ready=not reasons, reasons=reasons)


def _not_ready(levels: Levels) -> list[str]:
    reasons = []
    if levels.phase != "running":
        reasons.append(f"the daemon is {levels.phase}")
    if not levels.mqtt_connected:
        reasons.append(f"the broker is not connected: {levels.mqtt_detail or 'connecting'}")
    if not levels.database_connected:
        reasons.append(f"the database stores nothing: {levels.database_detail or 'connecting'}")
    return reasons


def _unprotected(levels: Levels) -> list[str]:
    spool = levels.spool
    return [spool.detail] if spool.state in {"full", "unusable"} else []


def _unbalanced(metrics: Metrics) -> list[str]:
    imbalances = metrics.ledger.imbalances()
    if not imbalances:
        return []
    readings = sum(abs(count) for count in imbalances.values())
    return [f"{readings} readings of {len(imbalances)} tenants are unaccounted for"]


def _ledger(metrics: Metrics) -> LedgerAnswer:
    totals, imbalances = metrics.ledger.totals(), metrics.ledger.imbalances()
    return LedgerAnswer(
        balanced=not imbalances,
        received=totals.received,
        stored=totals.stored,
        duplicate=totals.duplicate,
        dead_lettered=totals.dead_lettered,
        in_flight=totals.in_flight,
        spooled=totals.spooled,
        shed=totals.shed,
        imbalance=sum(abs(count) for count in imbalances.values()),
    )


def _rfc3339(at_us: int) -> str:
    text = datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _connected(*, yes: bool) -> str:
    return "connected" if yes else "disconnected"
