"""Shows a run as it goes, on a terminal: a picture that is drawn over itself."""

from collections import deque
from itertools import pairwise
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from penstock_simulator.watching import Frame, rates_between, within

_GREATEST_WIDTH = 116
_CTRL_C_WIDTH = 2
_BORDER_WIDTH = 4
_FIGURES_WIDTH = 42
_LETTERS_WIDTH = 30
_GAP_WIDTH = 2
_PHASE_WIDTH = 10
_BAR_WIDTH = 30
_REASON_LINES = 12
"""As many as the reasons that the simulated fleet gives."""
_LEAST_SPARK_WIDTH = 10
_SPARK_FRAMES = 4
"""How many frames a bar of a sparkline stands for: a second."""
_SPARKS = "▁▂▃▄▅▆▇█"
_RECENT_FRAMES = 10
_LEAST_GROUPS = 2


class TerminalView:
    """A picture that is drawn over itself: of one size, and everything in its place."""

    def __init__(self, console: Console, *, title: str, footer: str, seconds: float) -> None:
        self._title = title
        self._footer = footer
        self._seconds = seconds
        # Room beside the panel for the ^C that a terminal echoes: it must not begin a new line.
        self._width = min(console.width - _CTRL_C_WIDTH, _GREATEST_WIDTH)
        beside = self._width - _BORDER_WIDTH - _FIGURES_WIDTH - _LETTERS_WIDTH
        self._spark_width = max(0, beside - 2 * _GAP_WIDTH)
        if self._spark_width < _LEAST_SPARK_WIDTH:
            self._spark_width = 0
        frames = max(self._spark_width * _SPARK_FRAMES, _RECENT_FRAMES)
        self._frames: deque[Frame] = deque(maxlen=frames + 1)
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
        body = Table.grid(padding=(0, _GAP_WIDTH, 0, 0))
        body.add_column(width=_FIGURES_WIDTH)
        if self._spark_width:
            body.add_column(width=self._spark_width)
        body.add_column(width=_LETTERS_WIDTH)
        parts = [self._figures(frame), _letters(frame)]
        if self._spark_width:
            parts.insert(1, self._charts(frame))
        body.add_row(*parts)
        return Panel(
            Group(
                self._progress(frame),
                Text(),
                body,
                Text(),
                Text(self._footer, style="dim", no_wrap=True, overflow="ellipsis"),
            ),
            title=f"[bold]{self._title}",
            title_align="left",
            padding=(0, 1),
            width=self._width,
        )

    def _progress(self, frame: Frame) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        row.add_column(width=_PHASE_WIDTH)
        elapsed = f"{frame.elapsed_seconds:.0f} s"
        if self._seconds:
            done = min(frame.elapsed_seconds, self._seconds)
            bar = ProgressBar(total=self._seconds, completed=done, width=_BAR_WIDTH)
            over = frame.elapsed_seconds > self._seconds
            of = elapsed if over else f"{elapsed} of {self._seconds:g} s"
            row.add_row(f"[bold]{frame.phase}", bar, f"{of}, {frame.aim}" if frame.aim else of)
        else:
            row.add_row(f"[bold]{frame.phase}", elapsed, "[dim]Ctrl-C ends it with the account")
        return row

    def _figures(self, frame: Frame) -> RenderableType:
        frames, gauges = self._frames, frame.gauges
        recent = rates_between(frames[max(0, len(frames) - 1 - _RECENT_FRAMES)], frame)
        table = Table.grid(padding=(0, 1))
        for justify, width in (("left", 18), ("right", 8), ("right", 14)):
            table.add_column(justify=justify, width=width, no_wrap=True)  # type: ignore[arg-type]
        for row in (
            ("", "[dim]a second", "[dim]in all"),
            (
                "messages published",
                f"[bold cyan]{recent.published:,.0f}",
                f"{frame.published:,}",
            ),
            ("readings stored", f"[bold green]{recent.stored:,.0f}", f"{gauges.stored:,}"),
            (),
            ("queue", "", f"{gauges.queue_rows:,} rows"),
            ("window", "", f"{gauges.unacknowledged:,} messages"),
            ("publish to commit", "[dim]50 %", f"[bold]{within(recent.p50_ms)}"),
            ("[dim](daemon's buckets)", "[dim]99 %", f"[bold]{within(recent.p99_ms)}"),
            *self._groups(frame),
        ):
            table.add_row(*row)
        return table

    def _groups(self, frame: Frame) -> list[tuple[str, str, str]]:
        """What each group publishes, where there are several."""
        if len(frame.groups) < _LEAST_GROUPS:
            return []
        before = self._frames[max(0, len(self._frames) - 1 - _RECENT_FRAMES)]
        seconds = max(frame.elapsed_seconds - before.elapsed_seconds, 1e-9)
        return [("", "", "")] + [
            (
                f"[dim]{name}",
                f"[cyan]{(count - before.groups.get(name, 0)) / seconds:,.0f}",
                f"{count:,}",
            )
            for name, count in frame.groups.items()
        ]

    def _charts(self, frame: Frame) -> RenderableType:
        frames, gauges, width = list(self._frames), frame.gauges, self._spark_width
        steps = [rates_between(a, b) for a, b in pairwise(frames[-1::-_SPARK_FRAMES][::-1])]
        return Group(
            Text(),
            Text(_spark([step.published for step in steps]).rjust(width), style="cyan"),
            Text(_spark([step.stored for step in steps]).rjust(width), style="green"),
            Text(),
            _gauge(gauges.queue_rows, gauges.queue_rows_limit, width),
            _gauge(gauges.unacknowledged, gauges.receive_maximum, width),
        )


def _letters(frame: Frame) -> RenderableType:
    """The commonest reasons, on as many lines whatever they are."""
    letters = frame.gauges.dead_letters
    table = Table.grid(padding=(0, 1))
    table.add_column(width=_LETTERS_WIDTH - 8, no_wrap=True)
    table.add_column(width=7, justify="right")
    table.add_row("[dim]dead letters", f"[bold yellow]{sum(letters.values()):,}")
    # By name, lest lines that count alike change places.
    commonest = sorted(letters.items(), key=lambda item: (-item[1], item[0]))[:_REASON_LINES]
    for reason, count in sorted(commonest):
        table.add_row(reason, f"{count:,}")
    for _ in range(_REASON_LINES - len(commonest)):
        table.add_row()
    return table


def _spark(values: list[float]) -> str:
    """Values as bars from zero; the greatest is three quarters high, so that dips are seen."""
    top = max(values, default=0.0) * 4 / 3
    if top <= 0:
        return ""
    return "".join(_SPARKS[min(int(value / top * len(_SPARKS)), 7)] for value in values)


def _gauge(value: int, limit: int, width: int) -> RenderableType:
    return ProgressBar(total=max(limit, 1), completed=min(value, limit), width=width)
