"""The life of the daemon: start, serve, shut down.

What always holds: HTTP answers from the first moment, so that a daemon which waits for its
database can say so; nothing is read from the broker before there is a place for it, the schema or
a spool; READY is sent once, when the first subscription stands; shutdown is one function, bounded
by `shutdown_timeout_seconds`, and what it could not store goes to the spool, or else stays
unacknowledged at the broker.
"""

import asyncio
import contextlib

import structlog

from penstock import __version__
from penstock.app import exhaustion
from penstock.app.flow import Flow
from penstock.app.levels import levels_of
from penstock.app.schema import Schema
from penstock.clock import Clock
from penstock.http.server import HttpServer
from penstock.observability.imbalance import StandingImbalance
from penstock.observability.levels import Levels, Phase
from penstock.observability.metrics import Metrics, Retry
from penstock.observability.notify import Notifier
from penstock.registry.known import KnownDevices
from penstock.settings.dump import redacted
from penstock.settings.tree import Settings
from penstock.storage.latest import Latest
from penstock.storage.store import TimescaleStore

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
READY_CHECK_SECONDS = 0.02
DATABASE_CHECK_SECONDS = 2.0


class Daemon:
    """One daemon, wired from its settings."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = Metrics(clock)
        self._notifier = Notifier.from_environment()
        self._phase: Phase = "starting"
        self._latest = Latest(settings.storage, clock)
        self._devices = KnownDevices(settings.storage, settings.registry)
        self._followed_generation = self._devices.generation
        self._store = TimescaleStore(settings.storage, self._metrics.storage, self._latest)
        self._flow = Flow(
            settings, self._store, self._database_answers, self._admitted, self._metrics, clock
        )
        self._schema = Schema(settings.storage, self._metrics, self._store.complain)
        self._movers: list[asyncio.Task[None]] = []
        self._imbalance = StandingImbalance(self._metrics.ledger)

    async def run(self, stop_requested: asyncio.Event) -> None:
        """Serve until `stop_requested` is set, then drain and return."""
        log.info("starting", version=__version__)
        log.debug("settings", **redacted(self._settings))
        async with (
            HttpServer(self._settings.http, self._metrics, self.levels),
            asyncio.TaskGroup() as tasks,
        ):
            running = [
                exhaustion.start(tasks, self._tick(), "tick"),
                exhaustion.start(tasks, self._watch_database(), "database watch"),
                exhaustion.start(tasks, self._serve(), "service"),
            ]
            await stop_requested.wait()
            await self._shut_down()
            for task in running:
                task.cancel()
        if self._flow.spool is not None:
            await self._flow.spool.close()
        await self._store.close()
        self._flow.close()
        totals = self._metrics.ledger.totals()
        log.info(
            "stopped",
            readings_received=totals.received,
            readings_stored=totals.stored,
            readings_duplicate=totals.duplicate,
            readings_dead_lettered=totals.dead_lettered,
            readings_spooled=totals.spooled,
            readings_shed=totals.shed,
        )

    async def _serve(self) -> None:
        """Prepare the spool and the schema, then run every stage until cancelled."""
        if self._flow.spool is not None:
            await self._flow.spool.open()
        async with asyncio.TaskGroup() as stages:
            schema = exhaustion.start(stages, self._schema.wait(), "schema")
            if not await self._need_not_wait_for(schema):
                await schema
            if not self._settings.registry.auto_register:
                await self._devices.load()
                exhaustion.start(stages, self._devices.run(), "devices")
            if self._flow.spool is not None:
                exhaustion.start(stages, self._flow.spool.run(), "spool")
            self._movers = [
                exhaustion.start(stages, mover, name) for name, mover in self._flow.movers()
            ]
            exhaustion.start(stages, self._flow.source.run(), "source")
            exhaustion.start(stages, self._announce(), "announce")
            exhaustion.start(stages, self._latest.run(), "latest")

    async def _need_not_wait_for(self, schema: asyncio.Task[None]) -> bool:
        """Whether messages have a place in the spool before the database has its schema.

        Not where devices have to be registered, because the database knows which are.
        """
        spool = self._flow.spool
        if spool is None or not spool.usable or not self._settings.registry.auto_register:
            return False
        await asyncio.wait((schema,), timeout=self._settings.spool.after_seconds)
        if not schema.done():
            self._flow.breaker.failed()
        return True

    async def _tick(self) -> None:
        """Once a second: sample the rates, tell the service manager that we are alive."""
        while True:
            self._metrics.retries[Retry.MQTT_CONNECT] = self._flow.source.traffic.connections_ended
            self._metrics.tick()
            self._flow.tick()
            self._imbalance.tick()
            self._follow_registrations()
            self._notifier.watchdog()
            self._notifier.status(self._status_line())
            await asyncio.sleep(TICK_SECONDS)

    def _status_line(self) -> str:
        """What `systemctl status` shows."""
        faults = [text for text in (self._flow.source.status.detail, self._database_detail) if text]
        stored = f"{self._metrics.stored_rate.per_second():,.0f} readings/s stored"
        return "; ".join([self._phase, stored, *faults])

    @property
    def _database_detail(self) -> str:
        """Why the database stores nothing; empty when it does."""
        if waiting_for := self._schema.fault or self._devices.fault:
            return waiting_for
        if not self._store.status.connected:
            return self._store.status.detail
        if self._flow.spool is not None and not self._flow.breaker.closed:
            return "it answers, but does not take batches; the log says why"
        return ""

    def _follow_registrations(self) -> None:
        """Have devices admitted anew once the known ones may be others."""
        if self._followed_generation != self._devices.generation:
            self._followed_generation = self._devices.generation
            self._flow.topics.forget_topics()

    async def _announce(self) -> None:
        """Say once that the daemon is ready: when the first subscription stands."""
        while self._flow.source.status.state != "subscribed":  # noqa: ASYNC110 - sources are polled
            await asyncio.sleep(READY_CHECK_SECONDS)
        if self._phase == "starting":
            self._phase = "running"
            self._notifier.ready()
            log.info("ready")

    async def _watch_database(self) -> None:
        """Ask the database for a sign of life, so that health is right when nothing is stored."""
        while True:
            await self._store.check()
            await asyncio.sleep(DATABASE_CHECK_SECONDS)

    async def _database_answers(self) -> bool:
        """Whether the database has its schema and gives a sign of life soon."""
        if not self._schema.ready:
            return False
        try:
            async with asyncio.timeout(self._settings.spool.after_seconds):
                return (await self._store.check()).connected
        except TimeoutError:
            return False

    async def _shut_down(self) -> None:
        """Stop the intake, drain, flush, acknowledge, disconnect: in this order, in time."""
        self._phase = "stopping"
        self._notifier.stopping()
        flow, limit_seconds = self._flow, self._settings.shutdown_timeout_seconds
        farewell_seconds = min(3.0, limit_seconds / 10)
        closing_seconds = min(2.0, limit_seconds / 5)
        try:
            async with asyncio.timeout(limit_seconds - 2 * farewell_seconds - closing_seconds):
                await flow.drain()
        except TimeoutError:
            await self._rescue(farewell_seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(farewell_seconds):
                await flow.source.stop()
                await self._latest.close()

    async def _rescue(self, limit_seconds: float) -> None:
        """Put into the spool what was not stored in time, and say what is left even then."""
        flow = self._flow
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                for mover in self._movers:
                    mover.cancel()
                await asyncio.gather(*self._movers, return_exceptions=True)
                await flow.rescue()
        if flow.queue.unsettled:
            log.error(
                "shutdown_incomplete",
                rows_not_stored=flow.queue.rows,
                messages_not_acknowledged=flow.unacknowledged_messages,
                advice="the broker sends unacknowledged messages again; those of QoS 0 are lost",
            )

    def _admitted(self, tenant: str, device: str) -> bool:
        return self._settings.registry.auto_register or self._devices.is_registered(tenant, device)

    def levels(self) -> Levels:
        """How the stages stand now."""
        return levels_of(self._flow, self._settings.storage, self._phase, self._database_detail)
