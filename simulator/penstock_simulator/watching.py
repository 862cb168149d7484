"""Shows a run as it goes: a picture on a terminal, a line every two seconds elsewhere."""

from collections import deque
from itertools import pairwise
from typing import NamedTuple, Protocol, Self

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from penstock_simulator.gauges import Gauges, latency_between

_HISTORY = 48
_SPARK_FRAMES = 4
"""How many frames a bar of a sparkline stands for: a second."""
_SPARK_WIDTH = _HISTORY // _SPARK_FRAMES
_GREATEST_WIDTH = 104
_CTRL_C_WIDTH = 2
_SPARKS = "▁▂▃▄▅▆▇█"
_LATENCY_FRAMES = 10
_LINE_SECONDS = 2.0


class Frame(NamedTuple):
    """What is known of a run at one moment."""

    elapsed_seconds: float
    phase: str
    published: int
    gauges: Gauges


class View(Protocol):
    """Shows frames."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, frame: Frame) -> None:
        """Show the newest frame; frames come about every quarter of a second."""
        ...


class Rates(NamedTuple):
    """Per second, between two frames; latencies in ms."""

    published: float
    stored: float
    p50_ms: float | None
    p99_ms: float | None


def rates_between(before: Frame, after: Frame) -> Rates:
    """What happened between two frames."""
    seconds = max(after.elapsed_seconds - before.elapsed_seconds, 1e-9)
    p50, p99 = (latency_between(before.gauges, after.gauges, share) for share in (0.5, 0.99))
    return Rates(
        published=(after.published - before.published) / seconds,
        stored=(after.gauges.stored - before.gauges.stored) / seconds,
        p50_ms=None if p50 is None else p50 * 1_000,
        p99_ms=None if p99 is None else p99 * 1_000,
    )


class LineView:
    """A line every two seconds, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Frame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, frame: Frame) -> None:
        last = self._last
        if last is None:
            self._last = frame
        elif frame.elapsed_seconds - last.elapsed_seconds >= _LINE_SECONDS:
            self._console.print(_line(frame, rates_between(last, frame)), soft_wrap=True)
            self._last = frame


class TerminalView:
    """A picture that is drawn over itself."""

    def __init__(self, console: Console, *, title: str, footer: str, seconds: float) -> None:
        self._title = title
        self._footer = footer
        self._seconds = seconds
        self._frames: deque[Frame] = deque(maxlen=_HISTORY + 1)
        # Room beside the panel for the ^C that a terminal echoes: it must not begin a new line.
        self._width = min(console.width - _CTRL_C_WIDTH, _GREATEST_WIDTH)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        frame = self._frames[-1]
        return Panel(
            Group(
                self._progress(frame),
                Text(),
                Columns([self._flow(frame), _letters(frame)], padding=(0, 3)),
                Text(),
                Text(self._footer, style="dim"),
            ),
            title=f"[bold]{self._title}",
            title_align="left",
            padding=(1, 2),
            width=self._width,
        )

    def _progress(self, frame: Frame) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        elapsed = f"{frame.elapsed_seconds:.0f} s"
        if self._seconds:
            done = min(frame.elapsed_seconds, self._seconds)
            bar = ProgressBar(total=self._seconds, completed=done, width=40)
            row.add_row(f"[bold]{frame.phase}", bar, f"{elapsed} of {self._seconds:g} s")
        else:
            row.add_row(f"[bold]{frame.phase}", elapsed, "[dim]Ctrl-C ends it with the account")
        return row

    def _flow(self, frame: Frame) -> RenderableType:
        frames = list(self._frames)
        steps = [rates_between(a, b) for a, b in pairwise(frames[-1::-_SPARK_FRAMES][::-1])]
        recent = rates_between(frames[max(0, len(frames) - 1 - _LATENCY_FRAMES)], frame)
        gauges = frame.gauges
        table = Table.grid(padding=(0, 2))
        for justify in ("left", "right", "right", "left"):
            table.add_column(justify=justify)
        table.add_row("", "[dim]per second", "[dim]in all", "")
        table.add_row(
            "messages published",
            f"[bold cyan]{recent.published:,.0f}",
            f"{frame.published:,}",
            f"[cyan]{_spark([step.published for step in steps])}",
        )
        table.add_row(
            "readings stored",
            f"[bold green]{recent.stored:,.0f}",
            f"{gauges.stored:,}",
            f"[green]{_spark([step.stored for step in steps])}",
        )
        table.add_row()
        table.add_row(
            "queue",
            "",
            f"{gauges.queue_rows:,} rows",
            _gauge(gauges.queue_rows, gauges.queue_rows_limit),
        )
        table.add_row(
            "window",
            "",
            f"{gauges.unacknowledged:,} messages",
            _gauge(gauges.unacknowledged, gauges.receive_maximum),
        )
        table.add_row(
            "publish to commit",
            "",
            f"[bold]{_milliseconds(recent.p50_ms)}",
            f"[dim]99 %:[/] {_milliseconds(recent.p99_ms)}",
        )
        return table


def _letters(frame: Frame) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_row("[dim]dead letters", f"[bold yellow]{sum(frame.gauges.dead_letters.values()):,}")
    for reason, count in sorted(frame.gauges.dead_letters.items(), key=lambda item: -item[1]):
        table.add_row(reason, f"{count:,}")
    return table


def _line(frame: Frame, rates: Rates) -> str:
    gauges = frame.gauges
    return (
        f"{frame.elapsed_seconds:4.0f} s  {frame.phase}:"
        f" {frame.published:,} messages published ({rates.published:,.0f}/s),"
        f" {gauges.stored:,} readings stored ({rates.stored:,.0f}/s),"
        f" queue {gauges.queue_rows:,} rows, window {gauges.unacknowledged:,} messages,"
        f" published to committed p50 {_milliseconds(rates.p50_ms)}"
        f" p99 {_milliseconds(rates.p99_ms)},"
        f" {sum(gauges.dead_letters.values()):,} dead letters"
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _spark(values: list[float]) -> str:
    """Values as bars, the greatest of them full."""
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    return "".join(_SPARKS[min(int(value / top * len(_SPARKS)), 7)] for value in values)


def _gauge(value: int, limit: int) -> RenderableType:
    return ProgressBar(total=max(limit, 1), completed=min(value, limit), width=_SPARK_WIDTH)
