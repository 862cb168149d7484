"""The demonstration: the whole stack, a simulated fleet, and the account of every reading.

The order is fixed: start the servers and the daemon; publish until the time is up or Ctrl-C; wait
until the broker has acknowledged everything, and until what it acknowledged has arrived or does
not come any more; then judge. Whatever ends it, all that was started is stopped.
"""

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path

import uvloop
from rich.console import Console

from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from penstock_simulator.account import Account
from penstock_simulator.fleet import Fleet, step_for
from penstock_simulator.gauges import Gauges, read_gauges
from penstock_simulator.oracle import verify
from penstock_simulator.publisher import Publisher
from penstock_simulator.stack import Stack, StackError, running_stack
from penstock_simulator.statement import print_account
from penstock_simulator.watching import Frame, LineView, TerminalView, View

RATE = 2_000.0
_MALFORMED_EVERY = 200
_FRAME_SECONDS = 0.25
_PATIENCE_SECONDS = 20.0
_RECONCILE_SECONDS = 0.5


def demonstrate(console: Console, *, seconds: float, report: Path | None, seed: int) -> Account:
    """Run the demonstration and return its account, which has been printed.

    Raises:
        SandboxError: a server is missing or did not start.
        StackError: the schema could not be applied, or the daemon ended by itself.
        PublishError: the broker refused the publisher.
        OracleError: the database could not be read.
    """
    console.print(_beginning(), style="dim", soft_wrap=True)
    with running_stack() as stack:
        account = uvloop.run(_Demonstration(console, stack, seconds=seconds, seed=seed).run())
    print_account(console, account)
    if report is not None:
        report.write_text(json.dumps(account.report(), indent=2) + "\n")
    return account


class _Demonstration:
    def __init__(self, console: Console, stack: Stack, *, seconds: float, seed: int) -> None:
        self._stack = stack
        self._seconds = seconds
        self._started_at = time.monotonic()
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
        self._view = _view(console, stack, seconds)

    async def run(self) -> Account:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop_or_cancel, stop, task)
        with self._view:
            watching = asyncio.create_task(self._watch(stop), name="watch")
            try:
                if self._seconds:
                    loop.call_later(self._seconds, stop.set)
                await self._publisher.run(stop)
                return await self._settled_account()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _settled_account(self) -> Account:
        """The account once nothing is missing, or once nothing more arrives."""
        ledger, dsn = self._publisher.ledger, self._stack.dsn
        best, changed_at = -1, time.monotonic()
        while True:
            account = await verify(dsn, ledger)
            arrived = account.stored_readings + sum(account.dead_lettered.values())
            if arrived > best:
                best, changed_at = arrived, time.monotonic()
            if not self._stack.daemon.running:
                raise StackError(f"the daemon ended by itself:\n{self._stack.daemon.log_tail()}")
            if not account.lost or time.monotonic() - changed_at > _PATIENCE_SECONDS:
                return account
            await asyncio.sleep(_RECONCILE_SECONDS)

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
            f"broker    {_without_password(stack.mqtt_url)}\n"
            f"database  {_without_password(stack.dsn)}\n"
            f"daemon    http://127.0.0.1:{stack.daemon.port}/health, /metrics"
        ),
        seconds=seconds,
    )


def _without_password(url: str) -> str:
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1@", url)


def _stop_or_cancel(stop: asyncio.Event, task: "asyncio.Task[object]") -> None:
    """The first signal ends the run with its account, a second one at once."""
    if stop.is_set():
        task.cancel()
    stop.set()
