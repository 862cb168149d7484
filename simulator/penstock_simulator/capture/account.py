"""The account of a replay: what was published, how quickly it was answered, what was stored of it.

Latencies count from when a message was due, however late it left; what is as fast as the broker
takes it is due when it is sent.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from penstock_simulator.capture.reconciliation import NEVER, Deliveries, Reconciliation
from penstock_simulator.capture.replaying import Replayer, Sending
from penstock_simulator.fleet import Numbers
from penstock_simulator.percentiles import Percentiles
from penstock_simulator.report.record import Workload


class ReplayAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a replay. Counts are of messages, each counted once however often sent."""

    captured: int
    """Messages in the capture."""
    truncated: bool
    """Whether the end of the capture is missing."""
    rounds: int
    published: int
    acknowledged: int
    """None of QoS 0 is."""
    unanswered: int
    """Of QoS 1, when it ended."""
    refused: int
    """Answered with a reason of failure."""
    reconnects: int
    seconds: float
    """From the first message to the last, or to its acknowledgement."""
    messages_per_second: float
    unsent_ms: Percentiles
    """From when a message was due until it was handed to the socket."""
    acknowledged_ms: Percentiles
    """Until its PUBACK was read."""
    workload: Workload | None
    reconciliation: Reconciliation | None = None
    """None where no database was named."""

    @property
    def holds(self) -> bool:
        """Whether the broker refused nothing, and nothing is known to be wrong with the rest."""
        return not self.refused and (self.reconciliation is None or self.reconciliation.holds)


def account_of(
    replayer: Replayer,
    *,
    captured: int,
    truncated: bool,
    rounds: int,
    reconciliation: Reconciliation | None,
) -> ReplayAccount:
    """The account of a replay that is over."""
    sendings = list(replayer.sendings())
    seconds = _span_seconds(sendings)
    effort = replayer.effort
    return ReplayAccount(
        captured=captured,
        truncated=truncated,
        rounds=rounds,
        published=replayer.published,
        acknowledged=replayer.acknowledged,
        unanswered=replayer.waiting,
        refused=replayer.refused,
        reconnects=replayer.reconnects,
        seconds=round(seconds, 3),
        messages_per_second=round(replayer.published / seconds, 1) if seconds else 0.0,
        unsent_ms=Percentiles.of(_joined([s.sent_us - s.due_us for s in sendings])),
        acknowledged_ms=Percentiles.of(
            _joined([(s.answered_us - s.due_us)[s.acknowledged] for s in sendings])
        ),
        workload=None
        if effort is None
        else Workload(
            cpu_share=round(effort.cpu_share, 3),
            late_share=round(effort.late_share, 4),
            limits=effort.limits,
        ),
        reconciliation=reconciliation,
    )


def deliveries_of(replayer: Replayer, captured: int) -> Deliveries:
    """How many times each message of the capture was published."""
    sent, acknowledged = np.zeros((2, captured), dtype=np.int64)
    due_us = np.full(captured, NEVER)
    for sending in replayer.sendings():
        sent += np.bincount(sending.messages, minlength=captured)
        confirmed = sending.messages[sending.acknowledged]
        acknowledged += np.bincount(confirmed, minlength=captured)
        np.minimum.at(due_us, sending.messages, sending.due_us)
    return Deliveries(sent, acknowledged, due_us)


def _span_seconds(sendings: Sequence[Sending]) -> float:
    sent = _joined([sending.sent_us for sending in sendings])
    answered = _joined([sending.answered_us[sending.acknowledged] for sending in sendings])
    if not len(sent):
        return 0.0
    last_us = max(int(sent.max()), int(answered.max()) if len(answered) else 0)
    return (last_us - int(sent.min())) / 1e6


def _joined(parts: Sequence[Numbers]) -> Numbers:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
