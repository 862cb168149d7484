"""How much the path takes from the session to the sealed batch: no broker, no database, no waiting.

Bytes as a broker sends them go through the daemon's own session, router, topic cache, decoder and
batch builder, under the reference configuration with every check on. Batches are acknowledged and
thrown away. Packets are encoded before the clock starts, and reach the session in pieces as large
as one read of the socket; Python looks for garbage as seldom as in the daemon. What is counted is
processor time of this thread, and every reading is counted again in the sealed batches: a message
that was refused would make the figures worthless.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.frame import (
    BenchError,
    Chart,
    Context,
    Goal,
    Result,
    Table,
    best_counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.message_path import CountedPath
from benchmarks.noise import Listener, Noise
from penstock.app.garbage import look_seldom
from penstock.settings.tree import Settings
from penstock_simulator.fleet import Fleet
from penstock_simulator.packets import LaneEncoder

LEAST_MESSAGES = 300_000
LEAST_READINGS = 1_500_000

READ_BYTES = 262_144
"""What uvloop reads at once."""
_READS = 16
"""Encoded beforehand, and fed again and again."""


class Load(NamedTuple):
    """What a message holds."""

    name: str
    metrics: int
    envelopes: int = 1

    @property
    def readings(self) -> int:
        """Readings in a message."""
        return self.metrics * self.envelopes


LOADS = (
    Load("1 reading", 1),
    Load("10 readings", 10),
    Load("100 readings, one envelope", 100),
    Load("100 readings, 10 envelopes", 10, 10),
)


class Headroom(NamedTuple):
    """One window."""

    messages: float
    """Per second of processor time."""
    readings: float
    noise: Noise

    @property
    def void(self) -> bool:
        """Whether the machine was too noisy."""
        return self.noise.too_much


def measure_headroom(context: Context) -> Result:
    """Measure every load in turn."""
    feeds = {load: _Feed(load) for load in LOADS}
    windows: dict[Load, list[Headroom]] = {load: [] for load in LOADS}
    for run in range(context.runs):
        for load, feed in feeds.items():
            window = feed.window(context.seconds)
            windows[load].append(window)
            context.console.print(
                f"run {run + 1}, {load.name}: {window.messages:,.0f} messages and"
                f" {window.readings:,.0f} readings per CPU second{window.noise.remark}",
                soft_wrap=True,
            )
    return result_of(windows)


def measure_load(load: Load, *, seconds: float) -> Headroom:
    """One window of one load."""
    return _Feed(load).window(seconds)


def result_of(windows: Mapping[Load, Sequence[Headroom]]) -> Result:
    """Medians; each goal is for the load that can meet it."""
    messages = {load: median(taken, lambda w: w.messages) for load, taken in windows.items()}
    readings = {load: median(taken, lambda w: w.readings) for load, taken in windows.items()}
    one, hundred = LOADS[0], best_counted(windows, readings)
    return Result(
        figures={
            load.name: {
                "messages_per_cpu_second": round(messages[load]),
                "readings_per_cpu_second": round(readings[load]),
                "void": is_void(windows[load]),
            }
            for load in windows
        },
        tables=[
            Table(
                title="Headroom: from the session to the sealed batch",
                columns=["a message holds", "messages/CPU s", "readings/CPU s", "µs/message"],
                rows=[
                    [
                        load.name,
                        f"{messages[load]:,.0f}",
                        f"{readings[load]:,.0f}",
                        f"{1e6 / messages[load]:.2f}",
                    ]
                    for load in windows
                ],
            )
        ],
        goals=[
            Goal(
                what=f"messages per CPU second, {one.name} a message",
                figure=messages[one],
                bound=LEAST_MESSAGES,
                void=is_void(windows[one]),
            ),
            Goal(
                what=f"readings per CPU second, {hundred.name} a message",
                figure=readings[hundred],
                bound=LEAST_READINGS,
                void=is_void(windows[hundred]),
            ),
        ],
        charts=[
            Chart(
                name="headroom",
                title="Readings per CPU second, by what a message holds",
                unit="readings/CPU s",
                places=[load.name for load in windows],
                series={"Penstock": [readings[load] for load in windows]},
                bound=LEAST_READINGS,
            )
        ],
        voids=void_windows({load.name: taken for load, taken in windows.items()}),
    )


class _Feed:
    """A path, and the packets that are fed into it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._messages, self._pieces = packets_of(load, _READS)
        self._path = CountedPath(Settings())

    def window(self, seconds: float) -> Headroom:
        """Feed for so much processor time.

        Raises:
            BenchError: not every reading came out.
        """
        return asyncio.run(self._window(seconds))

    async def _window(self, seconds: float) -> Headroom:
        path, rounds = self._path, 0
        self._feed_once()
        path.start_counting()
        look_seldom()
        listener = Listener(alone=True)
        started = time.process_time()
        while (elapsed := time.process_time() - started) < seconds:
            self._feed_once()
            rounds += 1
        noise = listener.hear()
        messages = rounds * self._messages
        readings = messages * self._load.readings
        if (path.messages, path.readings, path.dead_letters) != (messages, readings, 0):
            raise BenchError(
                f"{path.messages} messages, {path.readings} readings and {path.dead_letters} dead"
                f" letters came out of {messages} messages and {readings} readings"
            )
        return Headroom(messages / elapsed, readings / elapsed, noise)

    def _feed_once(self) -> None:
        for piece in self._pieces:
            self._path.receive(piece)
        self._path.flush()


def packets_of(load: Load, reads: int) -> tuple[int, list[bytes]]:
    """How many messages fit into so many reads of the socket, and what each of these brings."""
    encoder = LaneEncoder(_fleet(load), 0)
    messages = reads * READ_BYTES // encoder.packet_bytes
    packets = encoder.block(0, messages).data
    return messages, [
        packets[start : start + READ_BYTES] for start in range(0, len(packets), READ_BYTES)
    ]


def _fleet(load: Load) -> Fleet:
    return Fleet.at_rate(
        100_000,
        seed=7,
        start_us=time.time_ns() // 1_000,
        type="vehicle",
        metrics=load.metrics,
        batch=load.envelopes,
        shape="list" if load.envelopes > 1 else "envelope",
        lanes=1,
        qos=1,
    )
