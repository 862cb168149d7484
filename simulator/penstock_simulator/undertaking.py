"""A run of one fleet against a broker that is there already.

It publishes until the time is up or a signal comes, tells every two seconds how it goes, and, where
a database is named, judges it once what was acknowledged has arrived or does not come any more.
"""

import asyncio
import signal

import typer

from penstock_simulator.judge import Judge
from penstock_simulator.publisher import Publisher
from penstock_simulator.report.assembly import Part, Told, record_of
from penstock_simulator.report.record import Event, Record
from penstock_simulator.sampling import Sampler
from penstock_simulator.settling import settled

_TELL_SECONDS = 2.0
_STORY = (
    "A fleet of like devices publishes to a broker that was there before, as the command line says."
)
_JUDGING = "What was sent has been answered; from here on the account reads the database."


class Undertaking:
    """The run.

    Args:
        publisher: of the fleet.
        sampler: of what can be known of the servers.
        dsn: the database to judge; none without it.
    """

    def __init__(self, publisher: Publisher, sampler: Sampler, *, dsn: str | None) -> None:
        self.publisher = publisher
        self._sampler = sampler
        self._dsn = dsn
        self._events: list[Event] = []

    async def run(self, seconds: float) -> Judge | None:
        """Publish for so many seconds, or until a signal if they are 0, and judge.

        Raises:
            PublishError: the broker refused the publisher.
            OracleError: the database could not be read.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if seconds:
            loop.call_later(seconds, stop.set)
        telling = asyncio.create_task(self._tell(), name="tell")
        sampling = asyncio.create_task(self._sampler.run(self.publisher.started), name="sample")
        try:
            await self.publisher.run(stop)
            telling.cancel()
            self._tell_end()
            return await self._judge()
        finally:
            telling.cancel()
            sampling.cancel()
            await asyncio.gather(telling, sampling, return_exceptions=True)

    def record(self, command: str, judge: Judge | None) -> Record:
        """The record of the run, which `command` began."""
        ledger = self.publisher.ledger
        told = Told(
            scenario="run",
            story=_STORY,
            command=command,
            seed=ledger.fleet.seed,
            effort=self.publisher.effort,
            events=self._events,
        )
        return record_of(told, [Part("devices", ledger, judge)], self._sampler.samples)

    async def _judge(self) -> Judge | None:
        if self._dsn is None:
            return None
        self._events.append(Event(self._sampler.elapsed_seconds, _JUDGING))
        (judge,) = await settled(self._dsn, [self.publisher.ledger])
        return judge

    async def _tell(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            published = self.publisher.published
            rate = (published - before) / _TELL_SECONDS
            typer.echo(f"{published:,} messages published, {rate:,.0f}/s")
            before = published

    def _tell_end(self) -> None:
        publisher = self.publisher
        typer.echo(
            f"{publisher.published:,} messages published,"
            f" {publisher.ledger.acknowledged:,} acknowledged,"
            f" {publisher.waiting:,} unanswered, {publisher.refused:,} refused,"
            f" {publisher.reconnects:,} reconnects"
        )
