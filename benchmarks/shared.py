"""One, two and three instances that share a subscription, on one broker and with one database.

Each instance is a daemon under the reference configuration with a client id and a spool of its own;
all are in one group (`mqtt.share_group`), so the broker gives every message to one of them (MQTT 5
§4.8.2). The load is saturation at QoS 1, with as many messages waiting for all of them together as
otherwise for one. What they have stored is reconciled as a whole.

What an instance got is what it says it has received since it started. An even share of two is a
half; evenness is the least share ÷ the even one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from benchmarks.frame import (
    MEBIBYTE,
    BenchError,
    Chart,
    Context,
    Result,
    Table,
    counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.line_rate import Measured, measure, tell
from benchmarks.subjects import Bench, Packet, Subject, penstocks, servers
from penstock_simulator.gauges import read_gauges
from penstock_simulator.stack import Daemon

INSTANCES = (1, 2, 3)
_GROUP = {"MQTT__SHARE_GROUP": "penstock"}
_STORED = "Every reading was stored once, whichever instance took it."
BUSY_BROKER = 0.9
"""Share of a core from which on the broker, which has one, counts as the limit."""
_CONCLUSION = (
    "mosquitto gives all that it has with one core, and that core was busy with a single instance:"
    " a second one adds no rate then, and where all share one machine it takes processor time from"
    " the broker and the database. So share a subscription to stand the loss of an instance, or"
    " where the broker and the database have more to give than one instance takes."
)


class Shared(NamedTuple):
    """One window."""

    measured: Measured
    received: Sequence[int]
    """Messages, by instance."""

    @property
    def void(self) -> bool:
        """Whether it does not count."""
        return self.measured.void

    @property
    def evenness(self) -> float:
        """The least share ÷ the even one."""
        return min(self.received) * len(self.received) / sum(self.received)


Windows = Mapping[int, Sequence[Shared]]
"""By the number of instances."""


def measure_shared(context: Context) -> Result:
    """Measure every number of instances in turn."""
    windows: dict[int, list[Shared]] = defaultdict(list)
    with servers() as bench:
        for run in range(context.runs):
            for number in INSTANCES:
                shared = measure_instances(bench, number, seconds=context.seconds)
                windows[number].append(shared)
                tell(context, f"run {run + 1}, instances: {number}", shared.measured)
    return result_of(windows)


def measure_instances(bench: Bench, number: int, *, seconds: float) -> Shared:
    """One window with so many instances.

    Raises:
        BenchError: they took nothing, or what they stored does not add up.
    """
    received: list[int] = []
    measured = measure(bench, partial(_group, number, received), qos=1, seconds=seconds)
    return Shared(measured, received)


def result_of(windows: Windows) -> Result:
    """Medians by number of instances."""
    rates = {
        number: median(taken, lambda shared: shared.measured.messages_per_second)
        for number, taken in windows.items()
    }
    return Result(
        figures={
            str(number): {
                "messages_per_second": round(rates[number]),
                "cpu_us_per_message": round(_cpu_us(taken), 3),
                "evenness": round(_evenness(taken), 3),
                "broker_cpu": _broker_cpu(taken),
                "resident_mib": round(_resident_mib(taken), 1),
                "void": is_void(taken),
            }
            for number, taken in windows.items()
        },
        tables=[
            Table(
                title="Shared subscription: committed by all instances together, QoS 1",
                columns=[
                    "instances",
                    "messages/s",
                    "CPU µs/message",
                    "evenness",
                    "broker, of a core",
                    "MiB",
                ],
                rows=[_row(number, rates[number], taken) for number, taken in windows.items()],
            )
        ],
        charts=[
            Chart(
                name="shared",
                title="Committed by all instances together",
                unit="messages/s",
                places=[_instances(number) for number in windows],
                series={"Penstock": list(rates.values())},
            )
        ],
        voids=void_windows({_instances(number): taken for number, taken in windows.items()}),
        notes=[_STORED, *_conclusion(windows)],
    )


@contextmanager
def _group(number: int, received: list[int], bench: Bench, packet: Packet) -> Iterator[Subject]:
    """Instances that note what they received before they end."""
    with penstocks(bench, packet, number=number, overrides=_GROUP) as (subject, daemons):
        yield subject
        received += [_received(daemon) for daemon in daemons]


def _received(daemon: Daemon) -> int:
    exposition = daemon.get("/metrics")
    if exposition is None:
        raise BenchError("an instance does not give its metrics")
    return read_gauges(exposition).received


def _cpu_us(taken: Sequence[Shared]) -> float:
    return median(taken, lambda shared: shared.measured.cpu_us_per_message)


def _evenness(taken: Sequence[Shared]) -> float:
    return median(taken, lambda shared: shared.evenness)


def _broker_cpu(taken: Sequence[Shared]) -> float | None:
    """Share of a core; not known of a broker that the environment names."""
    if taken[0].measured.broker_cpu is None:
        return None
    return round(median(taken, lambda shared: shared.measured.broker_cpu or 0.0), 3)


def _conclusion(windows: Windows) -> list[str]:
    """What follows, if the broker was busy with the fewest instances in windows that count."""
    taken = windows[min(windows)]
    broker = _broker_cpu(taken)
    limited = broker is not None and broker > BUSY_BROKER and not is_void(taken)
    return [_CONCLUSION] if limited else []


def _resident_mib(taken: Sequence[Shared]) -> float:
    return max(shared.measured.resident_bytes for shared in counted(taken)) / MEBIBYTE


def _row(number: int, rate: float, taken: Sequence[Shared]) -> list[str]:
    broker = _broker_cpu(taken)
    return [
        str(number),
        f"{rate:,.0f}",
        f"{_cpu_us(taken):.2f}",
        f"{_evenness(taken):.2f}",
        "" if broker is None else f"{broker:.0%}",
        f"{_resident_mib(taken):.0f}",
    ]


def _instances(number: int) -> str:
    return "1 instance" if number == 1 else f"{number} instances"
