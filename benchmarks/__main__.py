"""`python -m benchmarks`: the short set, as a table and as JSON.

Subjects take turns, and each figure is the median of several windows. The broker is the
sandbox's, under the configuration that we ship (persistence on), and the same process for all. In
the JSON, `aiomqtt` is the loop that speaks MQTT 5, as the null sink and Penstock do; the table
has the one that speaks 3.1.1 as well.

The null sink is not quite the most that the broker can give: it reads message by message, and to
wake it for each costs the broker more than to write to a reader that is busy. So a ratio can exceed
1.

The exit status is 0 when it was measured, whatever the figures; 1 when a measurement could not be
made, or when something that was stored does not add up.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.line_rate import BenchError, MakeSubject, Measured, measure
from benchmarks.machine import describe_machine
from benchmarks.results import (
    AIOMQTT,
    AIOMQTT_311,
    NULL_SINK,
    PENSTOCK,
    Windows,
    print_results,
    rate,
    report_of,
)
from benchmarks.subjects import Bench, aiomqtt_311_loop, aiomqtt_loop, null_sink, penstock
from penstock import sandbox
from penstock_simulator.account import Latency

SUBJECTS: dict[str, MakeSubject] = {
    NULL_SINK: null_sink,
    AIOMQTT: aiomqtt_loop,
    AIOMQTT_311: aiomqtt_311_loop,
    PENSTOCK: penstock,
}


def main(
    *,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JSON.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each window.")] = 5,
    runs: Annotated[int, typer.Option(min=1, help="Windows of each subject.")] = 3,
) -> None:
    """Measure Penstock against all that the broker can give."""
    console = Console()
    console.print(describe_machine(), soft_wrap=True)
    with (
        sandbox.scratch_folder() as folder,
        sandbox.mqtt_broker(folder / "broker") as mqtt_url,
        sandbox.database_server(folder / "postgres") as server_dsn,
    ):
        bench = Bench(folder, mqtt_url, server_dsn)
        try:
            windows = _saturate(console, bench, seconds=seconds, runs=runs)
            latency = _latency(console, bench, windows, seconds=2 * seconds)
        except BenchError as error:
            console.print(f"[bold red]{error}")
            raise typer.Exit(1) from error
    print_results(console, windows, latency)
    if report is not None:
        report.write_text(json.dumps(report_of(windows, latency), indent=2) + "\n")


def _saturate(console: Console, bench: Bench, *, seconds: float, runs: int) -> Windows:
    windows: dict[tuple[int, str], list[Measured]] = defaultdict(list)
    for run in range(runs):
        for qos in (0, 1):
            for name, make_subject in SUBJECTS.items():
                measured = measure(bench, make_subject, qos=qos, seconds=seconds)
                windows[qos, name].append(measured)
                _tell(console, f"run {run + 1}, QoS {qos}, {name}", measured)
    return windows


def _latency(console: Console, bench: Bench, windows: Windows, *, seconds: float) -> Latency:
    half = rate(windows, 1, PENSTOCK) / 2
    measured = measure(bench, penstock, qos=1, seconds=seconds, rate=half)
    _tell(console, f"half of saturation, {half:,.0f} messages/s", measured)
    assert measured.account is not None, "Penstock stores"
    return measured.account.latency_ms


def _tell(console: Console, what: str, measured: Measured) -> None:
    void = ", VOID: the generator was the limit" if measured.void else ""
    dropped = f", {measured.dropped:,} messages of QoS 0 dropped" if measured.dropped else ""
    console.print(
        f"{what}: {measured.messages_per_second:,.0f} messages/s,"
        f" {measured.cpu_us_per_message:.2f} µs of CPU a message,"
        f" generator at {measured.generator_cpu:.0%} of a core{dropped}{void}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    typer.run(main)
