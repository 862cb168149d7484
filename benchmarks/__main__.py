"""`python -m benchmarks`: the short set, as a table and as JSON.

Subjects take turns, and each figure is the median of several runs. The broker is the sandbox's,
under the configuration that we ship, the same process for all. The exit status is 0 when it was
measured, whatever the figures, and 1 when something that was stored does not add up.
"""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.line_rate import BenchError, MakeSubject, Measured, measure
from benchmarks.machine import describe_machine
from benchmarks.subjects import Bench, aiomqtt_loop, null_sink, penstock
from penstock import sandbox

SUBJECTS: dict[str, MakeSubject] = {
    "null_sink": null_sink,
    "aiomqtt": aiomqtt_loop,
    "penstock": penstock,
}


def main(
    *,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JSON.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each window.")] = 5,
    runs: Annotated[int, typer.Option(min=1, help="Windows of each subject.")] = 3,
) -> None:
    """Measure Penstock against the most that the broker can give."""
    console = Console()
    console.print(describe_machine())
    with (
        sandbox.scratch_folder() as folder,
        sandbox.mqtt_broker(folder / "broker") as mqtt_url,
        sandbox.database_server(folder / "postgres") as server_dsn,
    ):
        bench = Bench(folder, mqtt_url, server_dsn)
        try:
            results = _measure_all(console, bench, seconds=seconds, runs=runs)
        except BenchError as error:
            console.print(f"[bold red]{error}")
            raise typer.Exit(1) from error
    _print_table(console, results)
    if report is not None:
        report.write_text(json.dumps(results, indent=2) + "\n")


def _measure_all(console: Console, bench: Bench, *, seconds: float, runs: int) -> dict[str, Any]:
    windows: dict[tuple[int, str], list[Measured]] = defaultdict(list)
    for run in range(runs):
        for qos in (0, 1):
            for name, make_subject in SUBJECTS.items():
                measured = measure(bench, make_subject, qos=qos, seconds=seconds)
                windows[qos, name].append(measured)
                console.print(_line(f"run {run + 1}, QoS {qos}, {name}", measured))
    results: dict[str, Any] = {f"qos{qos}": _summary(windows, qos) for qos in (0, 1)}
    rate = results["qos1"]["penstock_mps"] / 2
    measured = measure(bench, penstock, qos=1, seconds=2 * seconds, rate=rate)
    console.print(_line(f"half of saturation, {rate:,.0f} messages/s", measured))
    assert measured.account is not None
    latency = measured.account.latency_ms
    return results | {"latency_ms": {"p50": latency.p50, "p99": latency.p99}}


def _summary(windows: dict[tuple[int, str], list[Measured]], qos: int) -> dict[str, float]:
    rates = {
        name: statistics.median(m.messages_per_second for m in windows[qos, name])
        for name in SUBJECTS
    }
    costs = {
        name: statistics.median(m.cpu_us_per_message for m in windows[qos, name])
        for name in SUBJECTS
    }
    return {
        **{f"{name}_mps": round(rate) for name, rate in rates.items()},
        "ratio": round(rates["penstock"] / rates["null_sink"], 3),
        "cpu_ratio": round(costs["penstock"] / costs["null_sink"], 3),
    }


def _line(what: str, measured: Measured) -> str:
    void = ", VOID: the generator was the limit" if measured.void else ""
    return (
        f"{what}: {measured.messages_per_second:,.0f} messages/s,"
        f" {measured.cpu_us_per_message:.2f} µs of CPU a message,"
        f" generator at {measured.generator_cpu:.0%} of a core{void}"
    )


def _print_table(console: Console, results: dict[str, Any]) -> None:
    table = Table("", "null sink", "aiomqtt", "penstock", "ratio", "CPU ratio", title="messages/s")
    for qos in ("qos0", "qos1"):
        figures = results[qos]
        table.add_row(
            f"QoS {qos[-1]}",
            *(f"{figures[f'{name}_mps']:,}" for name in SUBJECTS),
            f"{figures['ratio']:.2f}",
            f"{figures['cpu_ratio']:.2f}",
        )
    latency = results["latency_ms"]
    console.print(table)
    console.print(
        "published to committed at half of saturation:"
        f" p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms"
    )


if __name__ == "__main__":
    typer.run(main)
