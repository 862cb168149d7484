"""How many messages a second each subject takes in saturation, and at what cost.

Each measurement runs one subject alone beside the broker, the generator and, for Penstock, the
database. After a warm-up a window of some seconds is measured: messages taken ÷ seconds, and the
processor time of the subject's process ÷ messages. What the null sink and the aiomqtt loop have
taken is what they have written or counted; what Penstock has taken is what the database has
committed within the window, by its commit timestamps, and the oracle then reconciles every
reading of the run.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np

from benchmarks.frame import BenchError, Context, counted
from benchmarks.load import LoadSpec, publishing
from benchmarks.noise import Listener, Noise, why_void
from benchmarks.processes import cpu_seconds, most_resident_bytes
from benchmarks.progress import Gauge
from benchmarks.reconciling import reconciled, settled
from benchmarks.subjects import Bench, Packet, Subject
from penstock_simulator.account import Account
from penstock_simulator.fleet import Fleet, Numbers, step_for
from penstock_simulator.judge import Judge
from penstock_simulator.ledger import load
from penstock_simulator.packets import LaneEncoder
from penstock_simulator.percentiles import Percentiles

TENANTS, DEVICES, METRICS, LANES = 3, 40, 3, 8
BACKLOG = 20_000
"""Messages that wait for the subject at any time: a fifth of a second of the fastest."""
LEAST_WAITING = 1_000
"""What the broker has in flight to a client of MQTT 3.1.1, and the largest batch of any peer: where
fewer messages wait, the subject may be waiting for the generator."""

_WARM_UP_SECONDS = 2.0
_FIRST_SECONDS = 30.0
_POLL_SECONDS = 0.05
_NO_TIMES = np.zeros(0, dtype=np.int64)

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
    resident_bytes: int = 0
    """Memory of the subject, at most."""
    broker_cpu: float | None = None
    """Share of a core that the broker used, where it is ours."""
    waits_us: Numbers = _NO_TIMES
    """From due to committed, of each stored message that was due in the window."""
    least_waiting: int | None = None
    """Messages that waited in saturation at the least, where what the subject took is a guess."""

    @property
    def dropped(self) -> int:
        """Messages that were published and never stored: none of Penstock's at QoS 1."""
        if self.account is None:
            return 0
        return self.account.published - self.account.stored_readings // self.readings_per_message

    @property
    def void(self) -> bool:
        """Whether the load may have been the limit, or the machine was too noisy."""
        return bool(self.remark)

    @property
    def remark(self) -> str:
        """What to add to the figures of a window that is void."""
        if self.least_waiting is not None and self.least_waiting < LEAST_WAITING:
            return f", VOID: only {self.least_waiting:,} messages waited for it at times"
        return why_void(self.noise, self.generator_cpu)


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

    Where the subject is not `trusted` to store everything, the account says what it did, and the
    window is void if too few messages waited for it.

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
        window = _run(bench, spec, subject, seconds)
        if subject.dsn is None:
            return window.measured
        if trusted:
            return _committed(window, reconciled(subject.dsn, load([path])))
        judge = settled(subject.dsn, load([path]))
        waiting = least_waiting(*judge.commits(), window.start_us, window.stop_us)
        return _committed(window, judge)._replace(least_waiting=waiting)


def tell(context: Context, what: str, measured: Measured) -> None:
    """Say in a line what was measured."""
    dropped = f", {measured.dropped:,} messages never stored" if measured.dropped else ""
    context.console.print(
        f"{what}: {measured.messages_per_second:,.0f} messages/s,"
        f" {measured.cpu_us_per_message:.2f} µs of CPU a message,"
        f" generator at {measured.generator_cpu:.0%} of a core{dropped}{measured.remark}",
        soft_wrap=True,
    )


def waits_of(windows: Sequence[Measured]) -> Percentiles:
    """Percentiles of the messages of all windows that count together, or of all if none does."""
    return Percentiles.of(np.concatenate([window.waits_us for window in counted(windows)]))


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


class Commits(NamedTuple):
    """What was committed in a window."""

    messages: int
    per_second: float


def commits_between(judge: Judge, start_us: int, stop_us: int) -> Commits:
    """What was committed between two moments.

    A window cuts through commits, so the rate is from its first commit to its last.

    Raises:
        BenchError: there were not two commits.
    """
    commits = judge.commits_us
    within = commits[(commits >= start_us) & (commits <= stop_us)]
    if len(within) == 0 or within[0] == within[-1]:
        raise BenchError("hardly anything was committed in the window")
    after_first = within[within > within[0]]
    return Commits(len(within), len(after_first) / (float(within[-1] - within[0]) / 1e6))


def least_waiting(sent_us: Numbers, committed_us: Numbers, start_us: int, stop_us: int) -> int:
    """How many messages were sent and not committed yet, at the least, between two moments.

    It is least right after a commit, so that is when it is looked at.
    """
    sent_us, committed_us = np.sort(sent_us), np.sort(committed_us)
    moments = committed_us[(committed_us >= start_us) & (committed_us <= stop_us)]
    sent = np.searchsorted(sent_us, moments, side="right")
    committed = np.searchsorted(committed_us, moments, side="right")
    return int((sent - committed).min(initial=len(sent_us)))


def packet_of(fleet: Fleet) -> Packet:
    """The length of the fleet's messages."""
    encoder = LaneEncoder(fleet, 0)
    return Packet(encoder.packet_bytes, encoder.payload_bytes)


class _Window(NamedTuple):
    start_us: int
    stop_us: int
    cpu_seconds: float
    measured: Measured


def _run(bench: Bench, spec: LoadSpec, subject: Subject, seconds: float) -> _Window:
    """Put the subject under load, and measure in the midst of it."""
    with publishing(spec) as generator:
        wait_for_first(subject.gauge, generator)
        time.sleep(_WARM_UP_SECONDS)
        listener = Listener()
        before = _sample(bench, subject, generator.pid)
        resident_bytes = most_resident_bytes(subject.process_ids, seconds)
        after = _sample(bench, subject, generator.pid)
        noise = listener.hear()
    elapsed = (after.at_us - before.at_us) / 1_000_000
    messages = after.messages - before.messages
    if messages <= 0:
        raise BenchError("the subject took nothing")
    cpu = after.cpu_seconds - before.cpu_seconds
    broker = after.broker_seconds - before.broker_seconds
    measured = Measured(
        messages / elapsed,
        cpu / messages * 1e6,
        (after.generator_seconds - before.generator_seconds) / elapsed,
        noise=noise,
        readings_per_message=spec.fleet.values_per_message,
        resident_bytes=resident_bytes,
        broker_cpu=None if bench.broker_id is None else broker / elapsed,
    )
    return _Window(before.at_us, after.at_us, cpu, measured)


class _Sample(NamedTuple):
    at_us: int
    messages: int
    cpu_seconds: float
    generator_seconds: float
    broker_seconds: float


def _sample(bench: Bench, subject: Subject, generator_id: int) -> _Sample:
    return _Sample(
        at_us=time.time_ns() // 1_000,
        messages=subject.gauge.messages(),
        cpu_seconds=sum(map(cpu_seconds, subject.process_ids)),
        generator_seconds=cpu_seconds(generator_id),
        broker_seconds=0.0 if bench.broker_id is None else cpu_seconds(bench.broker_id),
    )


def wait_for_first(gauge: Gauge, load_process: subprocess.Popen[bytes]) -> None:
    """Wait until the subject has taken a message.

    Raises:
        BenchError: none came.
    """
    deadline = time.monotonic() + _FIRST_SECONDS
    while gauge.messages() <= 0:
        if time.monotonic() > deadline or load_process.poll() is not None:
            raise BenchError("no message reached the subject")
        time.sleep(_POLL_SECONDS)


def _committed(window: _Window, judge: Judge) -> Measured:
    """The window's figures by what was committed in it."""
    commits = commits_between(judge, window.start_us, window.stop_us)
    return window.measured._replace(
        messages_per_second=commits.per_second,
        cpu_us_per_message=window.cpu_seconds / commits.messages * 1e6,
        account=judge.account(),
        waits_us=judge.waits(window.start_us, window.stop_us),
    )
