"""A replay from the file to the account, on a stack of its own or against a broker that is there.

The order is fixed: read the capture and make it ready, publish until all of it is answered or
Ctrl-C, and, where a database is known, wait until everything has arrived or does not come any more.
Ctrl-C ends it without an account before anything is published, and once nothing is any more.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop

from penstock.settings.tree import Settings
from penstock_simulator.capture.access import Access
from penstock_simulator.capture.account import ReplayAccount, account_of, deliveries_of
from penstock_simulator.capture.expected import Expected, expect, overrides_of
from penstock_simulator.capture.likeness import MOST_SHIFTED_US
from penstock_simulator.capture.pacing import Pacing, at_once, at_rate, at_speed
from penstock_simulator.capture.prepared import Prepared, prepare
from penstock_simulator.capture.reading import CaptureReader
from penstock_simulator.capture.reconciliation import Reconciliation, count_stored, reconcile
from penstock_simulator.capture.replaying import Replayer
from penstock_simulator.capture.stored import Query, Span, read_stored
from penstock_simulator.interruption import interruptible
from penstock_simulator.settling import PATIENCE_SECONDS
from penstock_simulator.stack import Stack, StackError, running_stack

_TELL_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
_QUIET_SECONDS = 3.0
"""After so long without anything new, nobody waits for what may be missing."""
_SKEW_US = 60_000_000
"""By how much the clock of the daemon may differ from ours."""

_ALWAYS = Span(0, 10_000 * 366 * 86_400 * 1_000_000)

Tell = Callable[[str], None]


class Plan(NamedTuple):
    """What to publish, and how."""

    path: Path
    speed: float = 1.0
    """How many times as fast as it was received."""
    rate: float | None = None
    """Messages a second instead; 0 for as fast as the broker takes them."""
    rounds: int = 1
    connections: int = 1
    qos: int | None = None
    """Of all messages; None for their own."""

    def pacing(self, prepared: Prepared) -> Pacing:
        """When the messages are due."""
        if self.rate is None:
            return at_speed(prepared.at_us, self.speed)
        count = len(prepared.at_us)
        return at_rate(count, self.rate) if self.rate else at_once(count)


class Judgement(NamedTuple):
    """A database to look into, and what decides what should be in it."""

    dsn: str
    settings: Settings
    stack: Stack | None = None
    """The stack of its own, whose database has nothing else in it."""


def replay_on_own_stack(plan: Plan, settings: Settings, tell: Tell) -> ReplayAccount:
    """Replay on a broker, a database and a daemon that start for it and end with it.

    Raises:
        CaptureError: it is no capture, or is damaged.
        ValueError: it has no message.
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied, or the daemon ended by itself.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    reader, prepared = _read(plan, tell)
    tell("Starting Penstock with a broker and a database of its own …")
    with running_stack(overrides_of(settings)) as stack:
        replay = _Replay(plan, reader, prepared, Access(stack.mqtt_url), tell)
        return replay.run(Judgement(stack.dsn, settings, stack))


def replay_elsewhere(
    plan: Plan, access: Access, judgement: Judgement | None, tell: Tell
) -> ReplayAccount:
    """Replay to a broker that is there, and look into the database behind it, if it is known.

    Raises:
        CaptureError: it is no capture, or is damaged.
        ValueError: it has no message, or the broker's URL is none.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    reader, prepared = _read(plan, tell)
    return _Replay(plan, reader, prepared, access, tell).run(judgement)


def _read(plan: Plan, tell: Tell) -> tuple[CaptureReader, Prepared]:
    reader = CaptureReader(plan.path)
    prepared = prepare(
        reader.messages(), connections=plan.connections, rounds=plan.rounds, qos=plan.qos
    )
    tell(f"{len(prepared.at_us):,} messages, captured from {reader.header.began_at} on")
    if reader.truncated:
        tell("The end of the capture is missing; what is there is published.")
    return reader, prepared


class _Replay:
    def __init__(
        self, plan: Plan, reader: CaptureReader, prepared: Prepared, access: Access, tell: Tell
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._captured = len(prepared.at_us)
        self._pacing = plan.pacing(prepared)
        self._replayer = Replayer(
            access.url, prepared, self._pacing, rounds=plan.rounds, trust=access.trust()
        )
        self._since_us = 0
        self._letters_before: dict[str, int] = {}
        self._stored_before = 0
        self._tell = tell

    def run(self, judgement: Judgement | None) -> ReplayAccount:
        return uvloop.run(self._run(judgement))

    async def _run(self, judgement: Judgement | None) -> ReplayAccount:
        expected = None
        if judgement is not None:
            expected = await self._expected(judgement)
        found, stop = None, asyncio.Event()
        with interruptible(stop, begun=lambda: self._replayer.began_us > 0):
            await self._publish(stop)
            stop.set()
            if judgement is not None and expected is not None:
                found = await self._settled(judgement, expected)
        return account_of(
            self._replayer,
            captured=self._captured,
            truncated=self._reader.truncated,
            rounds=self._plan.rounds,
            reconciliation=found,
        )

    async def _expected(self, judgement: Judgement) -> Expected:
        """What should become of each message when it is due; what is there already is noted."""
        now_us = time.time_ns() // 1_000
        due_us = (now_us + int(offset_us) for offset_us in self._pacing.offsets_us)
        expected = expect(self._reader.messages(), judgement.settings, due_us)
        self._since_us = now_us - _SKEW_US
        if judgement.stack is None:
            before = await read_stored(judgement.dsn, self._query(expected, everything=False))
            self._letters_before = before.letters
            self._stored_before = count_stored(expected, self._captured, before)
        return expected

    async def _publish(self, stop: asyncio.Event) -> None:
        telling = asyncio.create_task(self._tell_progress(), name="tell")
        try:
            await self._replayer.run(stop)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _settled(self, judgement: Judgement, expected: Expected) -> Reconciliation:
        """What was found, once nothing is missing or nothing more has arrived for a while."""
        best, changed_at = -1, time.monotonic()
        while True:
            found = await self._reconciled(judgement, expected)
            if found.arrived > best:
                best, changed_at = found.arrived, time.monotonic()
            stack = judgement.stack
            if stack is not None and not stack.daemon.running:
                raise StackError(f"the daemon ended by itself:\n{stack.daemon.log_tail()}")
            missing = found.lost or found.letters_missing
            patience_seconds = PATIENCE_SECONDS if missing else _QUIET_SECONDS
            if found.complete or time.monotonic() - changed_at > patience_seconds:
                return found
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _reconciled(self, judgement: Judgement, expected: Expected) -> Reconciliation:
        own = judgement.stack is not None
        stored = await read_stored(judgement.dsn, self._query(expected, everything=own))
        letters = Counter(stored.letters) - Counter(self._letters_before)
        deliveries = deliveries_of(self._replayer, self._captured)
        stored = stored._replace(letters=dict(letters))
        return reconcile(
            expected,
            deliveries,
            stored,
            own_database=own,
            stored_before=self._stored_before,
        )

    def _query(self, expected: Expected, *, everything: bool) -> Query:
        return Query(
            expected.series,
            readings=_ALWAYS if everything else _span(expected),
            stamps=Span(self._since_us, time.time_ns() // 1_000 + _SKEW_US),
            topics=expected.topics,
            everything=everything,
        )

    async def _tell_progress(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            published = self._replayer.published
            rate = (published - before) / _TELL_SECONDS
            self._tell(f"{published:,} messages published, {rate:,.0f}/s")
            before = published


def _span(expected: Expected) -> Span:
    """From the first to the last time that a reading may have; nothing when none carries one."""
    times = [part.ts_us for part in (expected.numbers, expected.texts) if len(part.ts_us)]
    if not times:
        return Span(0, -1)
    first_us = min(int(part.min()) for part in times)
    return Span(first_us, max(int(part.max()) for part in times) + MOST_SHIFTED_US)
