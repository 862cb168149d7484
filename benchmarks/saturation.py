"""Line rate and latency: the short set.

Each subject in saturation at QoS 0 and 1, taking turns; then Penstock alone at half of what it took
at QoS 1, in as many windows, for the time from publish to commit. The broker is the sandbox's,
under the configuration that we ship (persistence on), and the same process for all. In the JSON,
`aiomqtt` is the loop that speaks MQTT 5, as the null sink and Penstock do; the table has the one
that speaks 3.1.1 as well.

The null sink is not quite the most that the broker can give: it reads message by message, and to
wake it for each costs the broker more than to write to a reader that is busy. So a ratio can exceed
1.
"""

from collections import defaultdict

from benchmarks.frame import Context, Result
from benchmarks.line_rate import MakeSubject, Measured, measure, tell
from benchmarks.results import (
    AIOMQTT,
    AIOMQTT_311,
    NULL_SINK,
    PENSTOCK,
    Windows,
    rate,
    result_of,
)
from benchmarks.subjects import (
    Bench,
    aiomqtt_311_loop,
    aiomqtt_loop,
    null_sink,
    penstock,
    servers,
)

SUBJECTS: dict[str, MakeSubject] = {
    NULL_SINK: null_sink,
    AIOMQTT: aiomqtt_loop,
    AIOMQTT_311: aiomqtt_311_loop,
    PENSTOCK: penstock,
}


def measure_line_rate(context: Context) -> Result:
    """Measure Penstock against all that the broker can give."""
    with servers() as bench:
        windows = _saturate(context, bench)
        half = _half(context, bench, windows)
    return result_of(windows, half)


def _saturate(context: Context, bench: Bench) -> Windows:
    windows: dict[tuple[int, str], list[Measured]] = defaultdict(list)
    for run in range(context.runs):
        for qos in (0, 1):
            for name, make_subject in SUBJECTS.items():
                measured = measure(bench, make_subject, qos=qos, seconds=context.seconds)
                windows[qos, name].append(measured)
                tell(context, f"run {run + 1}, QoS {qos}, {name}", measured)
    return windows


def _half(context: Context, bench: Bench, windows: Windows) -> list[Measured]:
    half = rate(windows, 1, PENSTOCK) / 2
    taken = []
    for run in range(context.runs):
        measured = measure(bench, penstock, qos=1, seconds=context.seconds, rate=half)
        taken.append(measured)
        tell(context, f"run {run + 1}, half of saturation, {half:,.0f} messages/s", measured)
    return taken
