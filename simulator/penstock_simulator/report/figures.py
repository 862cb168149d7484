"""Figures as people read them."""

from collections.abc import Callable
from datetime import datetime

Written = Callable[[float], str]


def count(value: float) -> str:
    """A number of things: 950, 12,500, 1.25 M."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.3g} M"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def short_count(value: float) -> str:
    """A round number of things, for an axis: 950, 12,500, 300 k."""
    return f"{value / 1_000:.4g} k" if 100_000 <= abs(value) < 1_000_000 else count(value)


def short_per_second(value: float) -> str:
    """A round rate, for an axis."""
    return f"{short_count(value)}/s"


def per_second(value: float) -> str:
    """A rate."""
    return f"{count(value)}/s"


def milliseconds(value: float) -> str:
    """A duration of so many ms."""
    if value >= 1_000:
        return f"{value / 1_000:.3g} s" if value < 100_000 else f"{value / 1_000:,.0f} s"
    return f"{value:.3g} ms"


def mebibytes(value: float) -> str:
    """A size of so many bytes."""
    return f"{value / 1_048_576:,.3g} MiB" if value < 1_047_527_424 else _gibibytes(value)


def cores(value: float) -> str:
    """A share of one processor core."""
    percent = round(value * 100, 1)
    return f"{percent:.0f} %" if percent >= 10 or percent == int(percent) else f"{percent} %"


def percentile(value: float) -> str:
    """A share of 0 to 1 as a percentile, with as many nines as it has."""
    return (
        f"{100 * value:.6f}".rstrip("0").rstrip(".") + " %"
        if value > 0.99
        else (f"{100 * value:.3g} %")
    )


def clock(value: float) -> str:
    """Seconds of a run."""
    if value < 120:
        return f"{value:g} s"
    hours, minutes = divmod(round(value) // 60, 60)
    seconds = round(value) % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def moment(text: str) -> str:
    """A time in UTC that is given as ISO 8601."""
    at = datetime.fromisoformat(text)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def microseconds(value: float) -> str:
    """A duration of so many µs."""
    return f"{value:.3g} µs"


def shortened(written: Written) -> Written:
    """How an axis writes what needs more room in a table."""
    short: dict[Written, Written] = {count: short_count, per_second: short_per_second}
    return short.get(written, written)


def _gibibytes(value: float) -> str:
    return f"{value / 1_073_741_824:,.3g} GiB"
