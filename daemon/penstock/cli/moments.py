"""Points in time as people type them: how long ago, or RFC 3339. Pure."""

import re
from datetime import datetime, timedelta

from penstock.errors import ConfigError

FORM = "such as 30m, 12h, 7d or 2026-01-31T08:00:00Z"

_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> datetime:
    """The time that `text` means at `now`; `ConfigError` when it means none."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        parsed = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is not a time {FORM}") from None
    if parsed.tzinfo is None:
        raise ConfigError(f"{text!r} has no offset from UTC; write it {FORM}")
    return parsed
