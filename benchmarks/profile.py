"""`python -m benchmarks.profile`: where the processor time of a message goes, stage by stage.

What one read of the socket brings goes through each stage by itself, all of them in turn, and what
is shown is the median of its processor time for each message. Decoder, builder and the intake
around them work message by message and are measured one within the other, each less what it holds.
What only a broker and a database bring about is not here: the event loop, the sockets, and sending
a COPY.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.documents import show
from benchmarks.frame import Result, Table
from benchmarks.headroom import Load, packets_of
from benchmarks.machine import describe_machine
from benchmarks.message_path import MessagePath
from penstock.app.garbage import look_seldom
from penstock.clock import SystemClock
from penstock.model import Message
from penstock.observability.metrics import Metrics
from penstock.pipeline.accounting import Accounting
from penstock.pipeline.bisect import Outcome
from penstock.pipeline.builder import BatchBuilder
from penstock.pipeline.intake import Sealed
from penstock.settings.tree import Settings
from penstock.storage.latest import Latest
from penstock.storage.write_set import WriteSet

LOADS = (Load("1 reading", 1), Load("3 readings", 3), Load("100 readings", 100))

Stage = Callable[[], object]


class _Stages:
    """The stages of one load, each with its input ready."""

    def __init__(self, load: Load) -> None:
        self._clock = SystemClock()
        self._sealed: list[Sealed] = []
        self._settings = Settings()
        self._path = MessagePath(self._settings, self._sealed.append)
        self.messages, (self._packets,) = packets_of(load, reads=1)
        self._received = self._receive()
        self._take_in()
        self._known = [self._path.topics.resolve(message.topic) for message in self._received]
        index = self._path.topics.index
        index.ids[: len(index)] = range(1, len(index) + 1)  # as if the database had given them
        self._write_sets = self._encode()
        self._latest = Latest(self._settings.storage, self._clock)
        self._accounting = Accounting(Metrics(self._clock), self._clock)

    def by_name(self) -> dict[str, Stage]:
        """In the order of the path; of `decoder`, `builder`, `intake` each holds those before."""
        return {
            "session": self._receive,
            "decoder": self._decode,
            "builder": self._decode_and_build,
            "intake": self._take_in,
            "order and encode": self._encode,
            "account": self._account,
            "latest": self._note,
            "PUBACK": self._acknowledge,
        }

    def _receive(self) -> Sequence[Message]:
        return self._path.session.receive(self._packets)

    def _take_in(self) -> None:
        self._sealed.clear()
        self._path.intake.accept(self._received)
        self._path.flush()

    def _decode(self) -> None:
        now_us = self._clock.now_us()
        for known, message in zip(self._known, self._received, strict=True):
            known.decode(message.payload, known.origin, now_us)

    def _decode_and_build(self) -> None:
        builder, now_us = BatchBuilder(self._path.topics.index), self._clock.now_us()
        for known, message in zip(self._known, self._received, strict=True):
            builder.begin(message.packet_id, len(message.payload), now_us)
            builder.add(known.device, known.decode(message.payload, known.origin, now_us))
            if builder.rows >= self._settings.storage.batch_rows:
                builder.seal()
        builder.seal()

    def _encode(self) -> list[WriteSet]:
        return [WriteSet(sealed.batch) for sealed in self._sealed]

    def _account(self) -> None:
        for sealed, rows in zip(self._sealed, self._write_sets, strict=True):
            stored = rows.all_inserted()
            outcome = Outcome(stored.inserted, stored.duplicates, ())
            self._accounting.sealed(sealed)
            self._accounting.committed(sealed.batch, outcome, store_seconds=0.0)

    def _note(self) -> None:
        for sealed, rows in zip(self._sealed, self._write_sets, strict=True):
            self._latest.note(sealed.batch, rows.numbers, rows.texts)

    def _acknowledge(self) -> None:
        for sealed in self._sealed:
            self._path.session.acknowledge(sealed.packet_ids)
            self._path.session.take_output(0.0)


def measure(load: Load, rounds: int) -> dict[str, float]:
    """Microseconds of processor time for each message, by stage."""
    return asyncio.run(_measure(load, rounds))


async def _measure(load: Load, rounds: int) -> dict[str, float]:
    """A coroutine because the intake sets a timer; it never gets to ring."""
    stages = _Stages(load)
    look_seldom()
    taken: dict[str, list[float]] = {name: [] for name in stages.by_name()}
    for _ in range(rounds):
        for name, stage in stages.by_name().items():
            started = time.process_time()
            stage()
            taken[name].append(time.process_time() - started)
    costs = {
        name: statistics.median(seconds) / stages.messages * 1e6 for name, seconds in taken.items()
    }
    costs["intake"] = max(0.0, costs["intake"] - costs["builder"])
    costs["builder"] -= costs["decoder"]
    return costs


def result_of(costs: Mapping[str, Mapping[str, float]]) -> Result:
    """A row for each stage, a column for each load, and their sums."""
    stages = list(next(iter(costs.values())))
    rows = [[stage, *(f"{cost[stage]:.2f}" for cost in costs.values())] for stage in stages]
    rows.append(["together", *(f"{sum(cost.values()):.2f}" for cost in costs.values())])
    return Result(
        figures={
            load: {stage: round(us, 3) for stage, us in cost.items()}
            for load, cost in costs.items()
        },
        tables=[Table(title="CPU µs a message", columns=["stage", *costs], rows=rows)],
        voids=(),
    )


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each stage is run.")] = 200,
) -> None:
    """Show where the processor time of a message goes."""
    console = Console()
    console.print(describe_machine(), soft_wrap=True)
    show(console, result_of({load.name: measure(load, rounds) for load in LOADS}))


if __name__ == "__main__":
    typer.run(main)
