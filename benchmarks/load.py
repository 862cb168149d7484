"""The load generator, in a process of its own: `python -m benchmarks.load SPEC`.

It publishes as fast as the broker takes it, but never more than `backlog` messages beyond what
the subject has taken. So the subject always finds messages waiting, and yet the broker neither
drops any nor spends its time on a queue that grows: all subjects meet the same broker in the same
state.

Until the subject has taken its first message, a hundred a second are published, because what is
published before it has subscribed never reaches it.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvloop

from benchmarks.frame import BenchError
from benchmarks.processes import end, start
from benchmarks.progress import Gauge
from penstock_simulator.fleet import Fleet
from penstock_simulator.ledger import save
from penstock_simulator.publisher import Publisher

_FIRST_PER_SECOND = 100


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to publish, and how far to run ahead."""

    url: str
    fleet: Fleet
    rate: float
    """Messages a second; 0 is as fast as the backlog allows."""
    gauge: Gauge | None = None
    backlog: int = 0
    ledger: str


@contextmanager
def publishing(spec: LoadSpec) -> Iterator[subprocess.Popen[bytes]]:
    """Publish within the context; on leaving, the ledger is written.

    Raises:
        BenchError: the generator failed.
    """
    process = start([sys.executable, "-m", "benchmarks.load", msgspec.json.encode(spec).decode()])
    try:
        yield process
    finally:
        status = end(process)
    if status != 0:
        raise BenchError(f"the load generator ended with status {status}")


class Pace:
    """How many messages may have been published by now."""

    def __init__(self, gauge: Gauge, backlog: int) -> None:
        self._gauge = gauge
        self._backlog = backlog
        self._started_at = time.monotonic()
        self._missed: int | None = None

    def allowed(self) -> int:
        """The allowance of a `Publisher`."""
        taken = self._gauge.messages()
        if self._missed is None:
            first = int((time.monotonic() - self._started_at) * _FIRST_PER_SECOND) + 1
            if taken <= 0:
                return first
            self._missed = max(0, first - taken)
        return self._missed + taken + self._backlog


def main() -> None:
    """Publish until SIGTERM, and leave the ledger."""
    spec = msgspec.json.decode(sys.argv[1], type=LoadSpec)
    pace = None if spec.gauge is None else Pace(spec.gauge, spec.backlog)
    publisher = Publisher(
        spec.url, spec.fleet, rate=spec.rate, allowance=None if pace is None else pace.allowed
    )
    uvloop.run(_publish(publisher))
    save(publisher.ledger, Path(spec.ledger))


async def _publish(publisher: Publisher) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await publisher.run(stop)


if __name__ == "__main__":
    main()
