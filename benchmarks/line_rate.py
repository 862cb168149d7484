"""How many messages a second each subject takes in saturation, and at what cost.

Each measurement runs one subject alone beside the broker, the generator and, for Penstock, the
database. After a warm-up a window of some seconds is measured: messages taken ÷ seconds, and the
processor time of the subject's process ÷ messages. What the null sink and the aiomqtt loop have
taken is what they have written or counted; what Penstock has taken is what the database has
committed within the window, by its commit timestamps, and the oracle then reconciles every
reading of the run.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec

from benchmarks.frame import BenchError
from benchmarks.load import LoadSpec
from benchmarks.noise import Listener, Noise
from benchmarks.processes import cpu_seconds, end
from benchmarks.progress import Gauge
from benchmarks.subjects import Bench, Packet, Subject
from penstock_simulator.account import Account
from penstock_simulator.fleet import Fleet, step_for
from penstock_simulator.judge import Judge
from penstock_simulator.ledger import Ledger, load
from penstock_simulator.oracle import examine
from penstock_simulator.packets import LaneEncoder

TENANTS, DEVICES, METRICS, LANES = 3, 40, 3, 8
BACKLOG = 20_000
"""Messages that wait for the subject at any time: a fifth of a second of the fastest."""

_WARM_UP_SECONDS = 2.0
_FIRST_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.05
_BUSY = 0.9
"""Share of a core from which on a generator counts as the bottleneck."""

MakeSubject = Callable[[Bench, Packet], AbstractContextManager[Subject]]


class Measured(NamedTuple):
    """One window."""

    messages_per_second: float
    cpu_us_per_message: float
    generator_cpu: float
    """Share of a core that the generator used."""
    account: Account | None = None
    """What the oracle found, where something was stored."""
    noise: Noise = Noise()
    readings_per_message: int = METRICS

    @property
    def dropped(self) -> int:
        """Messages that were published and never stored: none at QoS 1."""
        if self.account is None:
            return 0
        return self.account.published - self.account.stored_readings // self.readings_per_message

    @property
    def void(self) -> bool:
        """Whether the generator may have been the limit, or the machine was too noisy."""
        return self.generator_cpu > _BUSY or self.noise.too_much

    @property
    def remark(self) -> str:
        """What to add to the figures of a window that is void."""
        if self.generator_cpu > _BUSY:
            return ", VOID: the generator was the limit"
        return self.noise.remark


def measure(
    bench: Bench, make_subject: MakeSubject, *, qos: int, seconds: float, rate: float = 0
) -> Measured:
    """Measure one subject in saturation, or at a fixed rate.

    Raises:
        BenchError: it took nothing, or what it stored does not add up.
    """
    return measure_fleet(bench, make_subject, new_fleet(qos, rate), seconds=seconds, rate=rate)


def measure_fleet(
    bench: Bench,
    make_subject: MakeSubject,
    fleet: Fleet,
    *,
    seconds: float,
    rate: float = 0,
    backlog: int = BACKLOG,
    trusted: bool = True,
) -> Measured:
    """Measure one subject with the messages of a fleet that nothing was measured with before.

    Where the subject is not `trusted` to store everything, the account says what it did.

    Raises:
        BenchError: as for `measure`.
    """
    with make_subject(bench, packet_of(fleet)) as subject:
        path = bench.folder / "ledger"
        spec = LoadSpec(
            url=bench.mqtt_url,
            fleet=fleet,
            rate=rate,
            gauge=None if rate else subject.gauge,
            backlog=backlog,
            ledger=str(path),
        )
        window = _run(spec, subject, seconds)
        if subject.dsn is None:
            return window.measured
        judge = settled(subject.dsn, load([path]), patience_seconds=_PATIENCE_SECONDS)
        if trusted:
            _check(judge.account(), fleet)
        return _committed(window, judge)


def new_fleet(qos: int, rate: float) -> Fleet:
    """A fleet of its own for each measurement, so that none meets another's data."""
    return Fleet(
        seed=time.time_ns() & 0xFFFFFFFF,
        start_us=time.time_ns() // 1_000,
        step_us=step_for(rate, size=TENANTS * DEVICES, malformed_every=0),
        tenants=TENANTS,
        devices=DEVICES,
        metrics=METRICS,
        lanes=LANES,
        qos=qos,
    )


def packet_of(fleet: Fleet) -> Packet:
    """The length of the fleet's messages."""
    encoder = LaneEncoder(fleet, 0)
    return Packet(encoder.packet_bytes, encoder.payload_bytes)


class _Window(NamedTuple):
    start_us: int
    stop_us: int
    cpu_seconds: float
    measured: Measured


def _run(spec: LoadSpec, subject: Subject, seconds: float) -> _Window:
    """Put the subject under load, and measure in the midst of it."""
    command = [sys.executable, "-m", "benchmarks.load", msgspec.json.encode(spec).decode()]
    load_process = subprocess.Popen(command)
    try:
        _wait_for_first(subject.gauge, load_process)
        time.sleep(_WARM_UP_SECONDS)
        listener = Listener()
        before = _sample(subject, load_process.pid)
        time.sleep(seconds)
        after = _sample(subject, load_process.pid)
        noise = listener.hear()
    finally:
        status = end(load_process)
    if status != 0:
        raise BenchError(f"the load generator ended with status {status}")
    elapsed = (after.at_us - before.at_us) / 1_000_000
    messages = after.messages - before.messages
    if messages <= 0:
        raise BenchError("the subject took nothing")
    cpu = after.cpu_seconds - before.cpu_seconds
    generator = (after.generator_seconds - before.generator_seconds) / elapsed
    measured = Measured(
        messages / elapsed,
        cpu / messages * 1e6,
        generator,
        noise=noise,
        readings_per_message=spec.fleet.values_per_message,
    )
    return _Window(before.at_us, after.at_us, cpu, measured)


class _Sample(NamedTuple):
    at_us: int
    messages: int
    cpu_seconds: float
    generator_seconds: float


def _sample(subject: Subject, generator_id: int) -> _Sample:
    return _Sample(
        at_us=time.time_ns() // 1_000,
        messages=subject.gauge.messages(),
        cpu_seconds=cpu_seconds(subject.process_id),
        generator_seconds=cpu_seconds(generator_id),
    )


def _wait_for_first(gauge: Gauge, load_process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _FIRST_SECONDS
    while gauge.messages() <= 0:
        if time.monotonic() > deadline or load_process.poll() is not None:
            raise BenchError("no message reached the subject")
        time.sleep(_POLL_SECONDS)


def settled(dsn: str, ledger: Ledger, *, patience_seconds: float) -> Judge:
    """The judgement once all that was published is stored, or nothing more comes for a while."""
    stored, changed_at = -1, time.monotonic()
    while True:
        judge = asyncio.run(examine(dsn, ledger))
        account = judge.account()
        if account.stored_readings > stored:
            stored, changed_at = account.stored_readings, time.monotonic()
        complete = stored == ledger.published * ledger.fleet.values_per_message
        if complete or time.monotonic() - changed_at > patience_seconds:
            return judge
        time.sleep(_POLL_SECONDS)


def _check(account: Account, fleet: Fleet) -> None:
    """At QoS 0 the broker may drop messages, but what is stored must be right all the same."""
    complete = account.stored_readings == account.published * fleet.values_per_message
    if not account.holds or (fleet.qos and not complete):
        raise BenchError(f"what was stored does not add up: {account}")


def _committed(window: _Window, judge: Judge) -> Measured:
    """The window's figures by what was committed in it.

    A window cuts through commits, so the rate is from its first commit to its last.
    """
    commits = judge.commits_us
    within = commits[(commits >= window.start_us) & (commits <= window.stop_us)]
    if len(within) == 0 or within[0] == within[-1]:
        raise BenchError("hardly anything was committed in the window")
    after_first = within[within > within[0]]
    rate = len(after_first) / ((within[-1] - within[0]) / 1e6)
    return window.measured._replace(
        messages_per_second=float(rate),
        cpu_us_per_message=window.cpu_seconds / len(within) * 1e6,
        account=judge.account(),
    )
