"""Time in payloads: RFC 3339 with an offset, or an epoch number in s, ms, µs or ns.

The unit of an epoch number is told by its magnitude: below 10¹¹ seconds, below 10¹⁴ milliseconds,
below 10¹⁷ microseconds, else nanoseconds. Each range holds the years 1973 to 5138. What is finer
than a microsecond is rounded to the nearest one. Dates and integers are exact; a number with a
fraction is as exact as its double, which is to the microsecond until 2106 for every unit.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

from penstock.errors import Reason, Rejected
from penstock.settings.tree import TimeBounds

Timestamp = int | float | Annotated[datetime, Meta(tz=True)]
"""A timestamp as msgspec reads it; a date without an offset is not one."""

EXPECTED_TIMESTAMP = "expected RFC 3339 with an offset, or an epoch number"

_SECONDS_BELOW = 10**11
_MILLISECONDS_BELOW = 10**14
_MICROSECONDS_BELOW = 10**17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


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
        if ts_us > received_us:
            off_us, side, allowed_us = ts_us - received_us, "ahead", self._future_us
        else:
            off_us, side, allowed_us = received_us - ts_us, "back", self._past_us
        return (
            f"the timestamp {moment} is {off_us / 1e6:.0f} s {side} of the time of receipt,"
            f" of which {allowed_us // 1_000_000} are allowed"
        )


def to_us(timestamp: Timestamp) -> int:
    """Microseconds since the epoch, whatever the form and however far out; never raises."""
    if type(timestamp) is int:
        if timestamp < _SECONDS_BELOW:
            return timestamp * 1_000_000
        if timestamp < _MILLISECONDS_BELOW:
            return timestamp * 1_000
        if timestamp < _MICROSECONDS_BELOW:
            return timestamp
        return (timestamp + 500) // 1_000
    if isinstance(timestamp, datetime):
        return (timestamp - _EPOCH) // _MICROSECOND
    return _fraction_to_us(timestamp)


def _fraction_to_us(number: float) -> int:
    if number < -_SECONDS_BELOW:
        return int(number) * 1_000_000  # in integers, because the product may be no finite double
    if number < _SECONDS_BELOW:
        return round(number * 1e6)
    if number < _MILLISECONDS_BELOW:
        return round(number * 1e3)
    if number < _MICROSECONDS_BELOW:
        return round(number)
    return round(number / 1e3)
