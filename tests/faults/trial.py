"""A trial: a broker, a database, a daemon, a load, and what the oracle says in the end.

What always holds: the load's every message is accounted for by the simulator's oracle, which knows
nothing of the daemon; a trial that saw too little, or whose daemon never came to rest, is no
success; and whatever is started here is ended with the trial.

A short trial does the same as a long one, only less often.
"""

import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.faults.servers import Servers
from tests.support.daemon_process import PENSTOCK, DaemonProcess, wait_until
from tests.support.load import Load, drain
from tests.support.publishing import publish, rows_of
from tests.support.redeliveries import Redeliveries
from tests.support.tcp_proxy import TcpProxy

RATE = 2_000
"""Messages a second, of three readings each."""
LONG_MESSAGES, SHORT_MESSAGES = 12_000, 2_000
"""What a load publishes at least."""
VOID_BELOW = 10_000
"""A long trial with fewer acknowledged messages shows nothing."""
RECOVERY_SECONDS = 10.0
"""How soon after a fault's end a fresh message has to be stored."""
DRAIN_SECONDS = 300.0

COUNTS = ("acknowledged", "lost", "duplicates", "invented", "corrupt")
FURTHER_INVARIANTS = ("both", "refused", "misjudged")

Choice = TypeVar("Choice")


class Trial:
    """One experiment under way; as a context manager it ends what it started."""

    def __init__(
        self,
        servers: Servers,
        folder: Path,
        seed: int,
        *,
        long: bool,
        command: tuple[str, ...] = PENSTOCK,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        """Prepare a trial in an empty `folder`; `command` runs another build of the daemon."""
        self.servers = servers
        self.folder = folder
        self.random = random.Random(seed)
        self.long = long
        self.command = command
        self.prefix = f"fault-{secrets.token_hex(4)}"
        self.redeliveries = Redeliveries()
        self.runs = 0
        self.problems: list[str] = []
        """What was not as promised, beside the oracle's counts."""
        self.recovery_seconds: float | None = None
        self.drain_seconds = drain_seconds
        """How long the daemon may take to get over a fault before it is said that it never does."""
        self._stack = ExitStack()
        self._loads: list[Load] = []
        self._canaries = 0
        self.dsn: str
        """The database of this trial, past every proxy."""
        self.broker_proxy: TcpProxy
        """What the daemon reaches the broker through; it counts redeliveries."""
        self.daemon: DaemonProcess
        """The daemon; `configure` makes another."""

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dsn = self.servers.new_database()
        self.broker_proxy = self.enter(
            TcpProxy.before(self.servers.broker.url, watch=self.redeliveries.watch)
        )
        self.configure()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            for load in self._loads:
                load.abandon()
            self.daemon.kill()

    @property
    def topic(self) -> str:
        """Of the messages of this trial, as a template."""
        return f"{self.prefix}/{{tenant}}/{{device}}/telemetry"

    def enter(self, context: Any) -> Any:
        """Enter a context until the end of the trial."""
        return self._stack.enter_context(context)

    def configure(
        self,
        *,
        dsn: str | None = None,
        mqtt_url: str | None = None,
        command: tuple[str, ...] | None = None,
        routes: Sequence[Mapping[str, object]] | None = None,
        **settings: Mapping[str, object] | object,
    ) -> None:
        """Make the daemon, not yet running, with a spool and otherwise as we ship it.

        `dsn` and `mqtt_url` lead through proxies; `routes` take the place of the one from `topic`;
        `settings` are merged into the configuration.
        """
        spool = {"path": str(self.folder / "spool.db")}
        given = settings.pop("spool", {})
        assert isinstance(given, Mapping)
        self.daemon = DaemonProcess(
            self.folder,
            mqtt_url=mqtt_url or self.broker_proxy.through(self.servers.broker.url),
            dsn=dsn or self.dsn,
            command=command or self.command,
            routes=[dict(route) for route in routes or [{"topic": self.topic}]],
            settings={"log": {"format": "json"}, "spool": {**spool, **given}, **settings},
        )

    def pick(self, short: Choice, long: Choice) -> Choice:
        """One of two values."""
        return long if self.long else short

    def times(self, short: int, long: int) -> Iterator[int]:
        """Count injections of the fault."""
        for number in range(self.pick(short, long)):
            self.runs += 1
            yield number

    def wait(self, least_seconds: float, most_seconds: float) -> None:
        """Let a seeded moment come."""
        time.sleep(self.random.uniform(least_seconds, most_seconds))

    def expect(self, holds: object, what: str) -> None:
        """Note a problem unless something holds; `what` says what should have been."""
        if not holds:
            self.problems.append(f"not so: {what}")

    @contextmanager
    def load(
        self, *, rate: int = RATE, messages: int | None = None, options: tuple[str, ...] = ()
    ) -> Iterator[Load]:
        """Publish during a block, and until it was enough; 0.5 % is malformed.

        `messages` is how much is enough.
        """
        load = Load(
            self.folder,
            self.servers.broker.url,
            self.prefix,
            malformed=0.005,
            rate=rate,
            name=f"load-{secrets.token_hex(4)}",
            options=options,
        )
        try:
            load.until_publishing()
            yield load
        except BaseException:
            load.abandon()
            raise
        self._loads.append(load)
        load.publish_at_least(messages or self.pick(SHORT_MESSAGES, LONG_MESSAGES))
        assert load.publishing, "the load ended early"
        load.end()

    @contextmanager
    def under_load(self, *, rate: int = RATE, messages: int | None = None) -> Iterator[Load]:
        """Run the daemon under load; the block is the fault, and its end the fault's end."""
        self.daemon.start()
        with self.load(rate=rate, messages=messages) as load:
            yield load
            self.recover()

    def recover(self) -> None:
        """Measure how long a fresh message takes now that the fault has ended."""
        started_seconds = time.monotonic()
        self._canaries += 1
        topic = f"{self.prefix}/canary/{self._canaries}/telemetry"
        publish(self.servers.broker.url, [(topic, '{"metrics": {"alive": 1}}')])
        found = (
            "select 1 from devices join tenants using (tenant_id) join series using (device_id)"
            " join readings using (series_id)"
            f" where tenants.name = 'canary' and devices.name = '{self._canaries}'"
        )
        try:
            wait_until(
                lambda: bool(rows_of(self.dsn, found)), "", within_seconds=self.drain_seconds
            )
        except AssertionError:
            self.problems.append("no fresh message was ever stored")
            return
        seconds = round(time.monotonic() - started_seconds, 2)
        self.recovery_seconds = max(seconds, self.recovery_seconds or 0.0)

    def drain(self) -> None:
        """Wait until all is stored that the broker has for the daemon."""
        if not self.daemon.running:
            self.problems.append("the daemon does not run")
            return
        try:
            drain(self.daemon, within_seconds=self.drain_seconds)
        except AssertionError:
            self.problems.append("it never came to rest")
            return
        ledger = self.daemon.get("/health")[1]["ledger"]
        self.expect(ledger["balanced"], f"the ledger balances: {ledger}")

    def conclude(self) -> dict[str, int]:
        """Let the daemon come to rest, and sum up what the oracle says of every load."""
        if self._loads:
            self.drain()
        accounts = [load.account(self.dsn) for load in self._loads]
        counts = {name: sum(account[name] for account in accounts) for name in COUNTS}
        for name in FURTHER_INVARIANTS:
            found = sum(account[name] for account in accounts)
            self.expect(not found, f"no reading is {name}, but {found} are")
        if self.long and counts["acknowledged"] < VOID_BELOW:
            self.problems.append(f"void: fewer than {VOID_BELOW:,} messages acknowledged")
        recovered = self.recovery_seconds is not None and self.recovery_seconds <= RECOVERY_SECONDS
        if self.long and not recovered:
            self.problems.append(f"no fresh message was stored within {RECOVERY_SECONDS:g} s")
        return counts
