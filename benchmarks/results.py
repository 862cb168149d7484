"""From measured windows to the figures that are reported."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.line_rate import Measured
from penstock_simulator.account import Latency

Windows = Mapping[tuple[int, str], Sequence[Measured]]
"""By QoS and subject."""

NULL_SINK, AIOMQTT, AIOMQTT_311, PENSTOCK = "null_sink", "aiomqtt", "aiomqtt_311", "penstock"


def report_of(windows: Windows, latency: Latency) -> dict[str, Any]:
    """What `REPORT` files hold: medians in messages a second, and ratios to the null sink."""
    return {
        "qos0": _figures(windows, 0),
        "qos1": _figures(windows, 1),
        "latency_ms": {"p50": latency.p50, "p99": latency.p99},
    }


def rate(windows: Windows, qos: int, subject: str) -> float:
    """The median rate of a subject, in messages a second."""
    return statistics.median(m.messages_per_second for m in windows[qos, subject])


def cost(windows: Windows, qos: int, subject: str) -> float:
    """The median processor time of a subject, in microseconds a message."""
    return statistics.median(m.cpu_us_per_message for m in windows[qos, subject])


def print_results(console: Console, windows: Windows, latency: Latency) -> None:
    """Print medians as a table; ratios are to the null sink."""
    table = Table("", "messages/s", "ratio", "CPU µs/message", "ratio")
    for column in table.columns[1:]:
        column.justify = "right"
    for qos in (0, 1):
        for subject in (NULL_SINK, AIOMQTT, AIOMQTT_311, PENSTOCK):
            speed, effort = rate(windows, qos, subject), cost(windows, qos, subject)
            table.add_row(
                f"QoS {qos}  {_NAMES[subject]}",
                f"{speed:,.0f}",
                f"{speed / rate(windows, qos, NULL_SINK):.2f}",
                f"{effort:.2f}",
                f"{effort / cost(windows, qos, NULL_SINK):.2f}",
                end_section=subject == PENSTOCK,
            )
    console.print(table)
    console.print(
        "Published to committed at half of the saturation at QoS 1:"
        f" p50 {latency.p50} ms, p99 {latency.p99} ms",
        soft_wrap=True,
    )


_NAMES = {
    NULL_SINK: "mosquitto_sub, nowhere",
    AIOMQTT: "aiomqtt, MQTT 5",
    AIOMQTT_311: "aiomqtt, MQTT 3.1.1",
    PENSTOCK: "Penstock, committed",
}


def _figures(windows: Windows, qos: int) -> dict[str, float]:
    subjects = (NULL_SINK, AIOMQTT, PENSTOCK)
    return {
        **{f"{subject}_mps": round(rate(windows, qos, subject)) for subject in subjects},
        "ratio": round(rate(windows, qos, PENSTOCK) / rate(windows, qos, NULL_SINK), 3),
        "cpu_ratio": round(cost(windows, qos, PENSTOCK) / cost(windows, qos, NULL_SINK), 3),
    }
