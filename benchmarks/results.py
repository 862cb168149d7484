"""From measured windows to the figures that are reported."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.frame import (
    MEBIBYTE,
    Chart,
    Goal,
    Result,
    Table,
    counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.line_rate import Measured, waits_of
from penstock_simulator.percentiles import Percentiles

Windows = Mapping[tuple[int, str], Sequence[Measured]]
"""By QoS and subject."""

NULL_SINK, AIOMQTT, AIOMQTT_311, PENSTOCK = "null_sink", "aiomqtt", "aiomqtt_311", "penstock"

LEAST_RATIO = 0.95
MOST_CPU_RATIO = {0: 1.25, 1: 1.0}
MOST_RESIDENT_MIB = 150.0


def report_of(windows: Windows, latency: Percentiles) -> dict[str, Any]:
    """What `REPORT` files hold: medians in messages a second, and ratios to the null sink."""
    return {
        "qos0": _figures(windows, 0),
        "qos1": _figures(windows, 1),
        "latency_ms": {"p50": latency.p50, "p99": latency.p99},
    }


def result_of(windows: Windows, half: Sequence[Measured]) -> Result:
    """Medians, their ratios to the null sink, and the latency at half of Penstock's rate."""
    latency = waits_of(half)
    return Result(
        figures=report_of(windows, latency),
        tables=[
            Table(
                title="Line rate: all that the broker can give",
                columns=["", "messages/s", "ratio", "CPU µs/message", "CPU ratio", "MiB"],
                rows=[_row(windows, qos, subject) for qos in (0, 1) for subject in _NAMES],
            )
        ],
        goals=[goal for qos in (0, 1) for goal in _goals(windows, qos)],
        charts=[
            Chart(
                name="line-rate",
                title="Messages taken in saturation",
                unit="messages/s",
                places=list(_NAMES.values()),
                series={
                    f"QoS {qos}": [rate(windows, qos, subject) for subject in _NAMES]
                    for qos in (0, 1)
                },
            )
        ],
        voids=void_windows(
            {
                **{
                    f"QoS {qos}, {_NAMES[subject]}": taken
                    for (qos, subject), taken in windows.items()
                },
                "half of saturation": half,
            }
        ),
        notes=[
            "MiB is resident memory at most, in any window that counts; Penstock has a spool.",
            _ABOUT_RATIOS,
            _latency(latency, void=is_void(half)),
        ],
    )


def rate(windows: Windows, qos: int, subject: str) -> float:
    """The median rate of a subject, in messages a second."""
    return median(windows[qos, subject], lambda window: window.messages_per_second)


def cost(windows: Windows, qos: int, subject: str) -> float:
    """The median processor time of a subject, in microseconds a message."""
    return median(windows[qos, subject], lambda window: window.cpu_us_per_message)


def resident_mib(windows: Windows, qos: int, subject: str) -> float:
    """The most memory of a subject in any window that counts, in MiB."""
    return max(window.resident_bytes for window in counted(windows[qos, subject])) / MEBIBYTE


_ABOUT_RATIOS = (
    "A ratio can exceed 1: to wake a reader that takes message by message, as mosquitto_sub does,"
    " costs the broker more than to write to one that is busy."
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
        "resident_mib": round(resident_mib(windows, qos, PENSTOCK), 1),
    }


def _row(windows: Windows, qos: int, subject: str) -> list[str]:
    speed, effort = rate(windows, qos, subject), cost(windows, qos, subject)
    return [
        f"QoS {qos}, {_NAMES[subject]}",
        f"{speed:,.0f}",
        f"{speed / rate(windows, qos, NULL_SINK):.2f}",
        f"{effort:.2f}",
        f"{effort / cost(windows, qos, NULL_SINK):.2f}",
        f"{resident_mib(windows, qos, subject):.0f}",
    ]


def _goals(windows: Windows, qos: int) -> list[Goal]:
    figures = _figures(windows, qos)
    void = is_void(windows[qos, NULL_SINK]) or is_void(windows[qos, PENSTOCK])
    return [
        Goal(
            what=f"Penstock ÷ null sink, QoS {qos}",
            figure=figures["ratio"],
            bound=LEAST_RATIO,
            void=void,
        ),
        Goal(
            what=f"CPU per message ÷ mosquitto_sub, QoS {qos}",
            figure=figures["cpu_ratio"],
            bound=MOST_CPU_RATIO[qos],
            better="lower",
            void=void,
        ),
        Goal(
            what=f"resident memory at saturation, QoS {qos}, MiB",
            figure=figures["resident_mib"],
            bound=MOST_RESIDENT_MIB,
            better="lower",
            void=is_void(windows[qos, PENSTOCK]),
        ),
    ]


def _latency(latency: Percentiles, *, void: bool) -> str:
    return (
        "Published to committed at half of the saturation at QoS 1:"
        f" p50 {latency.p50} ms, p99 {latency.p99} ms{', void' if void else ''}."
    )
