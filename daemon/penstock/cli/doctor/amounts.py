"""Numbers in the words of people. Pure."""

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_SPANS = (("days", 86_400), ("hours", 3_600), ("minutes", 60))


def in_bytes(amount: float) -> str:
    """An amount of bytes, in the largest unit that it fills: `10.7 GB`."""
    for unit, size in _UNITS:
        if amount >= size:
            return f"{_short(amount / size)} {unit}"
    return f"{amount:.0f} bytes"


def in_time(seconds: float) -> str:
    """A span in the largest unit that gives two or more of it: `7 days`, `90 minutes`."""
    for unit, size in _SPANS:
        if seconds >= 2 * size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} s"


def counted(number: int, thing: str) -> str:
    """A number of things: `1 filter`, `2 filters`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def rate_of(window: int, commit_seconds: float) -> str:
    """The rate of a window of messages, each of which is acknowledged after a commit."""
    return (
        f"{window / commit_seconds:,.0f} messages/s at a commit of {commit_seconds * 1000:.0f} ms"
    )


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
