"""A run of a scenario: publish, disturb, watch, wait until all of it has arrived, and judge.

What is loaded is given: a private stack, or somebody else's broker of which little may be known.
The order is fixed: publish until the time is up or Ctrl-C; wait until the broker has acknowledged
everything, and until what it acknowledged has arrived or does not come any more; then judge.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from penstock_simulator.climb import climb_of
from penstock_simulator.disturbing import Disturber
from penstock_simulator.gauges import Gauges, read_gauges
from penstock_simulator.interruption import interruptible
from penstock_simulator.judged import Judged
from penstock_simulator.knee import Climb
from penstock_simulator.ledger import Ledger
from penstock_simulator.pace import Ramp
from penstock_simulator.publisher import see_that_some_were_taken
from penstock_simulator.report.assembly import Part, Told, record_of
from penstock_simulator.report.record import Event, Record
from penstock_simulator.sampling import Sampler
from penstock_simulator.scenario_plan import Loaded, Plan
from penstock_simulator.scenario_publisher import ScenarioPublisher
from penstock_simulator.settling import PATIENCE_SECONDS, settled
from penstock_simulator.stack import StackError
from penstock_simulator.watching import Frame, View

_FRAME_SECONDS = 0.25
_QUIET_SECONDS = 0.5
_VAIN_SECONDS = 5.0
_VAIN = "The ramp ends here: the daemon was {:,.0f} seconds behind."
_JUDGING = "All that was sent is acknowledged; from here on the account reads the database."


class ScenarioRun:
    """One run."""

    def __init__(self, plan: Plan, loaded: Loaded, view: View) -> None:
        self._plan = plan
        self._loaded = loaded
        self._view = view
        self._publisher = ScenarioPublisher(
            loaded.url, plan.found.scenario, rate=plan.rate, seed=plan.seed, ramp=plan.ramp
        )
        self._sampler = Sampler(loaded.sources, connections=lambda: self._publisher.connected)
        planned = plan.found.scenario.disturbances
        self._disturber = (
            Disturber(loaded.stack, planned, began=self._begin_event)
            if loaded.stack is not None and planned
            else None
        )
        self._events: list[Event] = []
        self._began_at: float | None = None

    @property
    def ledgers(self) -> Mapping[str, Ledger]:
        """What each group has sent."""
        return self._publisher.ledgers

    @property
    def summary(self) -> str:
        """What the broker answered, in a line."""
        ledgers = self._publisher.ledgers.values()
        return (
            f"{sum(ledger.published for ledger in ledgers):,} messages published,"
            f" {sum(ledger.acknowledged for ledger in ledgers):,} acknowledged,"
            f" {self._publisher.waiting:,} unanswered, {self._publisher.refused:,} refused,"
            f" {self._publisher.reconnects:,} reconnects"
        )

    def see_that_some_were_taken(self) -> None:
        """See that the broker did not refuse every message.

        Raises:
            PublishError: it did.
        """
        acknowledged = sum(ledger.acknowledged for ledger in self.ledgers.values())
        see_that_some_were_taken(acknowledged, self._publisher.refused)

    async def run(self) -> Judged | None:
        """Publish, and judge where a database is known.

        Raises:
            PublishError: the broker refused the publisher.
            OracleError: the database could not be read.
            StackError: the daemon ended by itself.
        """
        stop = asyncio.Event()
        with interruptible(stop), self._view:
            beside = [
                asyncio.create_task(self._watch(stop), name="watch"),
                asyncio.create_task(self._sampler.run(self._publisher.started), name="sample"),
                asyncio.create_task(self._end_in_time(stop), name="clock"),
            ]
            try:
                await self._publish(stop)
                return await self._judge()
            finally:
                for other in beside:
                    other.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    def record(self, command: str, judged: Judged | None) -> Record:
        """The record of the run, which `command` began."""
        name, scenario = self._plan.found
        told = Told(
            scenario=name,
            story=f"{scenario.story} {self._plan.remark}".rstrip(),
            command=command,
            seed=self._plan.seed,
            effort=self._publisher.effort,
            events=self._events,
            climb=self.climb(judged),
        )
        judges = {} if judged is None else judged.judges
        parts = [Part(name, ledger, judges.get(name)) for name, ledger in self.ledgers.items()]
        return record_of(told, parts, self._sampler.samples)

    def climb(self, judged: Judged | None) -> Climb | None:
        """How the ramp went, if it was one and began."""
        effort = self._publisher.effort
        if self._plan.ramping is None or effort is None:
            return None
        judges = {} if judged is None else judged.judges
        sent = [(ledger, judges.get(name)) for name, ledger in self.ledgers.items()]
        return climb_of(self._plan.ramping, self._plan.seconds, sent, effort)

    @property
    def _elapsed_seconds(self) -> float:
        """Since the groups began to publish."""
        return 0.0 if self._began_at is None else time.monotonic() - self._began_at

    @property
    def _aim(self) -> str:
        """The rate that a ramp has come to, or what is away."""
        if self._disturber is not None and self._disturber.away is not None:
            return f"{self._disturber.away} away"
        ramp = self._plan.ramp
        if ramp is None:
            return ""
        step = np.searchsorted(ramp.starts_seconds, self._elapsed_seconds, side="right") - 1
        return f"{ramp.rates[min(max(0, int(step)), ramp.steps - 1)]:,.0f}/s"

    async def _end_in_time(self, stop: asyncio.Event) -> None:
        await self._publisher.started.wait()
        self._began_at = time.monotonic()
        if self._plan.ramp is not None:
            await self._climb(self._plan.ramp)
            stop.set()
        elif self._plan.seconds:
            await asyncio.sleep(self._plan.seconds)
            stop.set()

    async def _climb(self, ramp: Ramp) -> None:
        """Wait until the ramp is over, or the daemon so far behind that more of it is vain."""
        readings = self._publisher.readings_per_message
        for rate, end_seconds in zip(ramp.rates, ramp.starts_seconds[1:], strict=True):
            await asyncio.sleep(max(0.0, end_seconds - self._elapsed_seconds))
            gauges = await self._gauges()
            if gauges is not None:
                done = gauges.received - gauges.unacknowledged - gauges.spool_rows / readings
                behind_seconds = (ramp.due_messages(end_seconds) - done) / rate
                if behind_seconds > _VAIN_SECONDS and end_seconds < ramp.starts_seconds[-1]:
                    self._note(_VAIN.format(behind_seconds))
                    return

    async def _publish(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, and disturb the stack meanwhile, if it is our own."""
        disturbing = asyncio.create_task(self._disturb(stop), name="disturb")
        try:
            await self._publisher.run(stop)
            await disturbing
        finally:
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)

    async def _disturb(self, stop: asyncio.Event) -> None:
        if self._disturber is not None:
            await self._disturber.run(self._publisher.started, stop)

    async def _judge(self) -> Judged | None:
        if self._loaded.dsn is None:
            return None
        await self._wait_for_quiet()
        self._note(_JUDGING)
        ledgers = self._publisher.ledgers
        judges = await settled(self._loaded.dsn, list(ledgers.values()), check=self._check_daemon)
        return Judged.of(dict(zip(ledgers, judges, strict=True)))

    async def _wait_for_quiet(self) -> None:
        """Wait until the daemon, as far as it can be asked, has nothing more to do.

        Without that, nobody would wait for what QoS 0 does not acknowledge.
        """
        before, changed_at = await self._gauges(), time.monotonic()
        while before is not None and time.monotonic() - changed_at < PATIENCE_SECONDS:
            await asyncio.sleep(_QUIET_SECONDS)
            self._check_daemon()
            after = await self._gauges()
            if after is None or (_idle(after) and _totals(after) == _totals(before)):
                return
            if _totals(after) != _totals(before):
                before, changed_at = after, time.monotonic()

    async def _watch(self, stop: asyncio.Event) -> None:
        while True:
            published = self._publisher.published
            self._view.show(
                Frame(
                    elapsed_seconds=self._elapsed_seconds,
                    phase="draining" if stop.is_set() else "publishing",
                    published=sum(published.values()),
                    gauges=await self._gauges() or Gauges(),
                    groups=published,
                    aim="" if stop.is_set() else self._aim,
                )
            )
            if self._daemon_fell():
                stop.set()
            await asyncio.sleep(_FRAME_SECONDS)

    async def _gauges(self) -> Gauges | None:
        exposition = self._loaded.sources.exposition
        text = None if exposition is None else await asyncio.to_thread(exposition)
        if text is None:
            return None
        gauges = read_gauges(text)
        # It counts from the devices' clocks, which all but stand still where a ramp is at its foot.
        return gauges if self._plan.ramp is None else gauges._replace(latency_buckets={})

    def _check_daemon(self) -> None:
        stack = self._loaded.stack
        if stack is not None and self._daemon_fell():
            raise StackError(f"the daemon ended by itself:\n{stack.daemon.log_tail()}")

    def _daemon_fell(self) -> bool:
        """Whether the daemon of our own has ended, and not by our doing."""
        stack, disturber = self._loaded.stack, self._disturber
        if stack is None or (disturber is not None and disturber.away == "daemon"):
            return False
        return not stack.daemon.running

    def _begin_event(self, text: str) -> Callable[[], None]:
        """Note that something begins, and return what notes its end."""
        at_seconds = self._sampler.elapsed_seconds

        def end() -> None:
            self._events.append(Event(at_seconds, text, self._sampler.elapsed_seconds))

        return end

    def _note(self, text: str) -> None:
        self._events.append(Event(self._sampler.elapsed_seconds, text))


def _idle(gauges: Gauges) -> bool:
    return not (gauges.queue_rows or gauges.unacknowledged or gauges.spool_rows)


def _totals(gauges: Gauges) -> Sequence[int]:
    return gauges.received, gauges.stored, gauges.dead_lettered
