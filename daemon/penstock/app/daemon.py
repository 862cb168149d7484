"""The life of the daemon: start, serve, shut down.

What always holds: HTTP answers from the first moment, so that a daemon which waits for its
database can say so; nothing is read from the broker before there is a place for it, the schema or
a spool; READY is sent once, when the first subscription stands; shutdown is one function, bounded
by `shutdown_timeout_seconds`, and what it could not store goes to the spool, or else stays
unacknowledged at the broker.
"""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from random import random
from typing import Any, Literal

import structlog

from penstock import __version__
from penstock.app import exhaustion
from penstock.app.flow import Flow
from penstock.backoff import Backoff
from penstock.clock import Clock, SystemClock
from penstock.errors import FatalError, PenstockError, Refusal, Refused, Retryable
from penstock.http.server import HttpServer
from penstock.observability.imbalance import StandingImbalance
from penstock.observability.levels import Levels, SpoolLevels
from penstock.observability.metrics import Metrics, Retry
from penstock.observability.notify import Notifier
from penstock.registry.known import KnownDevices
from penstock.settings.dump import redacted
from penstock.settings.tree import Settings
from penstock.storage.latest import Latest
from penstock.storage.migrate import migrate, pending
from penstock.storage.store import TimescaleStore
from penstock.storage.verdict import is_lost_connection

log = structlog.get_logger(__name__)


TICK_SECONDS = 1.0
READY_CHECK_SECONDS = 0.02
DATABASE_CHECK_SECONDS = 2.0

HANGUP = signal.SIGHUP.name
"""Never forces the end: when a terminal is closed, the shell sends it and the kernel again."""

Phase = Literal["starting", "running", "stopping"]


class ForcedShutdown(PenstockError):  # noqa: N818 - what happened, not a failure
    """A second signal ended the daemon before it had drained."""


async def serve(settings: Settings) -> None:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP; a second of the first two forces the end.

    Errors: `ConfigError`, `FatalError` with what the operator has to do; `ForcedShutdown`.
    """
    stop_requested = asyncio.Event()
    run = asyncio.ensure_future(Daemon(settings, SystemClock()).run(stop_requested))
    bugs: list[BaseException] = []

    def stop(name: str) -> None:
        if not stop_requested.is_set():
            log.info(
                "shutdown_requested",
                signal=name,
                drains_within_seconds=settings.shutdown_timeout_seconds,
                advice="a second SIGTERM or SIGINT ends it at once",
            )
            stop_requested.set()
        elif name != HANGUP:
            log.warning("shutdown_forced", signal=name)
            run.cancel()

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the daemon over an error in a timer or a callback, which nobody else would see."""
        exhaustion.end_because_of(context.get("exception"))
        if "handle" in context and "exception" in context:
            bugs.append(context["exception"])
            run.cancel()
        else:
            _report(loop, context)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(fail)
    for number in _stopping_signals():
        loop.add_signal_handler(number, stop, number.name)
    try:
        await run
    except asyncio.CancelledError:
        if bugs:
            raise bugs[0] from None
        raise ForcedShutdown("a second signal ended the daemon before it had drained") from None
    except BaseExceptionGroup as group:
        raise _cause(group) from None


def _stopping_signals() -> list[signal.Signals]:
    signals = [signal.SIGTERM, signal.SIGINT]
    # Under nohup it is ignored, and that is to stay so.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio has to say, quietly when it is no news."""
    if _is_driver_leftover(context):
        log.debug("database_connection_leftover", error=str(context["exception"]))
    else:
        loop.default_exception_handler(context)


def _is_driver_leftover(context: dict[str, Any]) -> bool:
    """Whether this is a future of the driver's own that a lost connection left to nobody.

    Whoever used the connection was told of the loss already. A task is somebody's work, and its
    error is always shown.
    """
    left_by_task = isinstance(context.get("future"), asyncio.Task)
    return not left_by_task and is_lost_connection(context.get("exception"))


def _cause(error: BaseException) -> BaseException:
    """The one error in a group of groups, where there is only one; else the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


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
        self._schema_ready = False
        self._schema_fault = ""
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
                _start(tasks, self._tick(), "tick"),
                _start(tasks, self._watch_database(), "database watch"),
                _start(tasks, self._serve(), "service"),
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
        )

    async def _serve(self) -> None:
        """Prepare the spool and the schema, then run every stage until cancelled."""
        if self._flow.spool is not None:
            await self._flow.spool.open()
        async with asyncio.TaskGroup() as stages:
            schema = _start(stages, self._await_schema(), "schema")
            if not await self._need_not_wait_for(schema):
                await schema
            if not self._settings.registry.auto_register:
                await self._devices.load()
                _start(stages, self._devices.run(), "devices")
            if self._flow.spool is not None:
                _start(stages, self._flow.spool.run(), "spool")
            self._movers = [_start(stages, mover, name) for name, mover in self._flow.movers()]
            _start(stages, self._flow.source.run(), "source")
            _start(stages, self._announce(), "announce")
            _start(stages, self._latest.run(), "latest")

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

    async def _await_schema(self) -> None:
        """Return when the schema is up to date, waiting for a database that is not there yet."""
        storage = self._settings.storage
        backoff = Backoff(storage.retry_min_seconds, storage.retry_max_seconds, random)
        while True:
            try:
                await self._prepare_schema()
            except Retryable as error:
                self._metrics.retries[Retry.DATABASE_CONNECT] += 1
                delay_seconds = backoff.next_seconds()
                self._schema_failed(error, delay_seconds)
                await asyncio.sleep(delay_seconds)
            else:
                self._schema_ready, self._schema_fault = True, ""
                return

    def _schema_failed(self, error: Retryable, delay_seconds: float) -> None:
        """Log it; what a person has to see to once, as an error."""
        news, self._schema_fault = str(error) != self._schema_fault, str(error)
        if not isinstance(error, Refused):
            log.warning(
                "database_unavailable", error=str(error), retry_in_seconds=round(delay_seconds, 2)
            )
            return
        self._metrics.storage.refusals[error.refusal] += 1
        if news:
            log.error("database_refuses", cause=error.refusal.value, reason=str(error))

    async def _prepare_schema(self) -> None:
        """Bring the schema up to date, or see that somebody else has.

        Errors: `Retryable`. Not even a schema that is newer than this version ends the daemon: what
        it receives goes to the spool, or waits at the broker, until a person has chosen a way.
        """
        storage = self._settings.storage
        limit_seconds = storage.timeout_seconds
        try:
            if storage.migrate_on_start:
                applied = await migrate(storage.dsn, answer_seconds=limit_seconds)
                log.info("schema_ready", applied=applied)
            elif missing := await pending(storage.dsn, answer_seconds=limit_seconds):
                raise Refused(
                    Refusal.SCHEMA, f"run `penstock migrate`: the schema lacks {', '.join(missing)}"
                )
        except FatalError as error:
            raise Refused(Refusal.SCHEMA, str(error)) from error

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
        if self._schema_fault:
            return self._schema_fault
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
        if not self._schema_ready:
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
        flow, storage = self._flow, self._settings.storage
        source, queue = flow.source.status, flow.queue
        database_detail = self._database_detail
        return Levels(
            phase=self._phase,
            mqtt_connected=source.state == "subscribed",
            mqtt_detail=source.detail,
            mqtt_connections=source.connection,
            mqtt_sessions_lost=flow.source.traffic.sessions_lost,
            receive_maximum=source.receive_maximum,
            unacknowledged_messages=flow.unacknowledged_messages,
            paused=flow.restraint.paused,
            database_connected=not database_detail,
            database_detail=database_detail,
            building_rows=flow.intake.building_rows,
            queue_batches=len(queue.unsettled),
            queue_rows=queue.rows,
            queue_rows_limit=storage.queue_rows,
            queue_bytes=queue.size_bytes,
            queue_bytes_limit=storage.queue_bytes,
            writers=len(flow.writers),
            writers_busy=sum(writer.busy for writer in flow.writers),
            oldest_age_seconds=flow.oldest_age_seconds(),
            series_cached=len(flow.topics.index),
            spool=self._spool_levels(),
        )

    def _spool_levels(self) -> SpoolLevels:
        spool = self._flow.spool
        if spool is None:
            return SpoolLevels()
        status, standing = spool.status, spool.standing
        return SpoolLevels(
            state=status.state,
            detail=status.detail,
            batches=standing.batches,
            rows=standing.rows,
            size_bytes=standing.size_bytes,
            limit_bytes=spool.max_bytes,
            oldest_age_seconds=self._flow.spool_age_seconds(),
        )


def _start(
    group: asyncio.TaskGroup, work: Coroutine[None, None, None], name: str
) -> asyncio.Task[None]:
    return group.create_task(exhaustion.ending_when_exhausted(work), name=name)
