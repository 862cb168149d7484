"""The demonstration: the whole stack, a simulated fleet, and the account of every reading.

The order is fixed: start the servers and the daemon; publish until the time is up or Ctrl-C; wait
until the broker has acknowledged everything, and until what it acknowledged has arrived or does
not come any more; then judge. Whatever ends it, all that was started is stopped.
"""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import uvloop
from rich.console import Console

from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock_simulator.account import Account
from penstock_simulator.fleet import Fleet, step_for
from penstock_simulator.gauges import Gauges, read_gauges
from penstock_simulator.judge import Judge
from penstock_simulator.publisher import Publisher
from penstock_simulator.report.assembly import Part, Told, record_of
from penstock_simulator.report.files import Files
from penstock_simulator.report.machine import without_passwords
from penstock_simulator.report.record import Event, Record
from penstock_simulator.sampling import Sampler
from penstock_simulator.settling import settled
from penstock_simulator.stack import Stack, StackError, running_stack
from penstock_simulator.statement import print_account
from penstock_simulator.watching import Frame, LineView, TerminalView, View

RATE = 2_000.0
_MALFORMED_EVERY = 200
_FRAME_SECONDS = 0.25
_STORY = (
    "Three plants with 40 sensors each publish 2,000 messages a second in all, at QoS 1, and one"
    " message of 200 is malformed. The broker, the database and the daemon run beside the simulator"
    " on one machine. Every message is a function of the seed, so at the end each row of the"
    " database is compared with what must be there."
)
_JUDGING = "All that was sent is acknowledged; from here on the account reads the database."


def demonstrate(
    console: Console, *, seconds: float, report: Path | None, seed: int, command: str, files: Files
) -> Account:
    """Run the demonstration and return its account, which has been printed.

    Raises:
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied, or the daemon ended by itself.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    console.print(_beginning(), style="dim", soft_wrap=True)
    with running_stack() as stack:
        demonstration = _Demonstration(console, stack, seconds=seconds, seed=seed)
        judge = uvloop.run(demonstration.run())
    account = judge.account()
    print_account(console, account)
    files.write(lambda: demonstration.record(command, judge))
    if report is not None:
        report.write_text(json.dumps(account.report(), indent=2) + "\n")
    return account


class _Demonstration:
    def __init__(self, console: Console, stack: Stack, *, seconds: float, seed: int) -> None:
        self._stack = stack
        self._seconds = seconds
        self._started_at = time.monotonic()
        self._seed = seed
        fleet = Fleet(
            seed=seed,
            start_us=time.time_ns() // 1_000,
            step_us=step_for(RATE, size=120, malformed_every=_MALFORMED_EVERY),
            tenants=3,
            devices=40,
            metrics=3,
            malformed_every=_MALFORMED_EVERY,
        )
        self._publisher = Publisher(stack.mqtt_url, fleet, rate=RATE)
        self._sampler = Sampler(stack.sources)
        self._events: list[Event] = []
        self._view = _view(console, stack, seconds)

    async def run(self) -> Judge:
        """Publish, and judge what arrived."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop_or_cancel, stop, task)
        with self._view:
            looking = [
                asyncio.create_task(self._watch(stop), name="watch"),
                asyncio.create_task(self._sampler.run(self._publisher.started), name="sample"),
            ]
            try:
                if self._seconds:
                    loop.call_later(self._seconds, stop.set)
                await self._publisher.run(stop)
                self._events.append(Event(self._sampler.elapsed_seconds, _JUDGING))
                (judge,) = await settled(
                    self._stack.dsn, [self._publisher.ledger], check=self._check_daemon
                )
                return judge
            finally:
                for task in looking:
                    task.cancel()
                await asyncio.gather(*looking, return_exceptions=True)

    def record(self, command: str, judge: Judge) -> Record:
        """The record of the run, which `command` began."""
        told = Told(
            scenario="demo",
            story=_STORY,
            command=command,
            seed=self._seed,
            effort=self._publisher.effort,
            events=self._events,
        )
        parts = [Part("sensors", self._publisher.ledger, judge)]
        return record_of(told, parts, self._sampler.samples)

    def _check_daemon(self) -> None:
        if not self._stack.daemon.running:
            raise StackError(f"the daemon ended by itself:\n{self._stack.daemon.log_tail()}")

    async def _watch(self, stop: asyncio.Event) -> None:
        while True:
            exposition = await asyncio.to_thread(self._stack.daemon.get, "/metrics")
            gauges = Gauges() if exposition is None else read_gauges(exposition)
            self._view.show(
                Frame(
                    elapsed_seconds=time.monotonic() - self._started_at,
                    phase="draining" if stop.is_set() else "publishing",
                    published=self._publisher.published,
                    gauges=gauges,
                )
            )
            if not self._stack.daemon.running:
                stop.set()
            await asyncio.sleep(_FRAME_SECONDS)


def _beginning() -> str:
    broker, database = (
        f"the {kind} of {variable}" if os.environ.get(variable) else f"a private {kind}"
        for kind, variable in (("broker", MQTT_VARIABLE), ("database server", DSN_VARIABLE))
    )
    return f"Starting Penstock with {broker} and {database} …"


def _view(console: Console, stack: Stack, seconds: float) -> View:
    if not console.is_terminal:
        return LineView(console)
    return TerminalView(
        console,
        title="Penstock: 120 sensors, 2,000 messages/s, 0.5 % of them malformed",
        footer=(
            f"broker    {without_passwords(stack.mqtt_url)}\n"
            f"database  {without_passwords(stack.dsn)}\n"
            f"daemon    http://127.0.0.1:{stack.daemon.port}/health, /metrics"
        ),
        seconds=seconds,
    )


def _stop_or_cancel(stop: asyncio.Event, task: "asyncio.Task[object]") -> None:
    """The first signal ends the run with its account, a second one at once."""
    if stop.is_set():
        task.cancel()
    stop.set()
