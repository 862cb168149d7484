"""Time in payloads: RFC 3339 with an offset, or an epoch number in s, ms, µs or ns.

The unit of an epoch number is told by its magnitude: below 10¹¹ seconds, below 10¹⁴ milliseconds,
below 10¹⁷ microseconds, else nanoseconds. Each range covers the years 1973 to 5138 without
touching another. What is finer than a microsecond is rounded to the nearest one. Everything here
is integer arithmetic but for fractional epoch numbers, whose doubles are exact to the microsecond
in those years.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

from penstock.errors import Reason, Rejected
from penstock.settings.tree import TimeBounds

Timestamp = int | float | Annotated[datetime, Meta(tz=True)]
"""A timestamp as msgspec reads it; a date without an offset is not one."""

EXPECTED = "expected RFC 3339 with an offset, or an epoch number"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST_US = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // _MICROSECOND

_SECONDS_BELOW = 10**11
_MILLISECONDS_BELOW = 10**14
_MICROSECONDS_BELOW = 10**17


class TimeWindow:
    """How far from the time of receipt a timestamp may be; never before 1970 nor after 9999."""

    __slots__ = ("_future_us", "_past_us")

    def __init__(self, bounds: TimeBounds) -> None:
        self._future_us = bounds.future_seconds * 1_000_000
        self._past_us = bounds.past_seconds * 1_000_000

    def admit(self, timestamp: Timestamp, received_us: int) -> int:
        """The timestamp in microseconds since the epoch.

        Errors: `Rejected` with `timestamp_out_of_range`.
        """
        ts_us = to_us(timestamp)
        if -self._future_us <= received_us - ts_us <= self._past_us and 0 <= ts_us <= _LATEST_US:
            return ts_us
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, self._distance(ts_us, received_us))

    def _distance(self, ts_us: int, received_us: int) -> str:
        if ts_us < 0:
            return "the timestamp is before 1970"
        if ts_us > _LATEST_US:
            return "the timestamp is after the year 9999"
        moment = (_EPOCH + timedelta(microseconds=ts_us)).isoformat()
        ahead = (ts_us - received_us) // 1_000_000
        if ahead >= 0:
            allowed = self._future_us // 1_000_000
            return f"the timestamp {moment} is {ahead} s ahead, of which {allowed} are allowed"
        allowed = self._past_us // 1_000_000
        return f"the timestamp {moment} is {-ahead} s back, of which {allowed} are allowed"


def to_us(timestamp: Timestamp) -> int:
    """Microseconds since the epoch, whatever the form and however far out; never raises."""
    if isinstance(timestamp, int):
        return _from_int(timestamp)
    if isinstance(timestamp, float):
        return _from_float(timestamp)
    return (timestamp - _EPOCH) // _MICROSECOND


def _from_int(number: int) -> int:
    if number < _SECONDS_BELOW:
        return number * 1_000_000
    if number < _MILLISECONDS_BELOW:
        return number * 1_000
    if number < _MICROSECONDS_BELOW:
        return number
    return (number + 500) // 1_000


def _from_float(number: float) -> int:
    if number < _SECONDS_BELOW:
        # Scaled as an integer when huge, because a finite double times 10⁶ may not be finite.
        return round(number * 1e6) if number > -_SECONDS_BELOW else int(number) * 1_000_000
    if number < _MILLISECONDS_BELOW:
        return round(number * 1e3)
    if number < _MICROSECONDS_BELOW:
        return round(number)
    return round(number / 1e3)
