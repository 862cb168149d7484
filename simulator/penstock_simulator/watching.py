"""Shows a run as it goes, in lines: what is known of it at a moment, and how fast that changed."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self

from rich.console import Console

from penstock_simulator.gauges import Gauges, latency_between

_LINE_SECONDS = 2.0


class Frame(NamedTuple):
    """What is known of a run at one moment."""

    elapsed_seconds: float
    phase: str
    published: int
    gauges: Gauges
    groups: Mapping[str, int] = {}
    """Messages that each group of the fleet published."""
    aim: str = ""
    """The rate that is wanted now, where it changes, or what is away."""


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
        # A daemon that was started again counts from 0.
        stored=max(0, after.gauges.stored - before.gauges.stored) / seconds,
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


class PublishingView:
    """A line every two seconds, for a run whose daemon cannot be asked."""

    def __init__(self, console: Console, *, seconds: float) -> None:
        self._console = console
        self._of = f" of {seconds:g} s" if seconds else " s"
        self._last: Frame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, frame: Frame) -> None:
        last = self._last
        if last is None:
            self._last = frame
        elif frame.elapsed_seconds - last.elapsed_seconds >= _LINE_SECONDS:
            rate = rates_between(last, frame).published
            self._console.print(
                f"{frame.elapsed_seconds:4.0f}{self._of}  {frame.phase}:"
                f" {frame.published:,} messages published ({rate:,.0f}/s)",
                soft_wrap=True,
            )
            self._last = frame


def _line(frame: Frame, rates: Rates) -> str:
    gauges = frame.gauges
    return (
        f"{frame.elapsed_seconds:4.0f} s  {frame.phase}:"
        f" {frame.published:,} messages published ({rates.published:,.0f}/s),"
        f" {gauges.stored:,} readings stored ({rates.stored:,.0f}/s),"
        f" queue {gauges.queue_rows:,} rows, window {gauges.unacknowledged:,} messages,"
        f" published to committed p50 {within(rates.p50_ms)} p99 {within(rates.p99_ms)}"
        f" (bounds of the daemon's histogram),"
        f" {sum(gauges.dead_letters.values()):,} dead letters"
    )


def within(milliseconds: float | None) -> str:
    """A bound of a latency, as far as it is known."""
    return "-" if milliseconds is None else f"≤ {milliseconds:,.0f} ms"
