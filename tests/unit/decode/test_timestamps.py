from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.decode.timestamps import Timestamp, TimeWindow, to_us
from penstock.errors import Reason, Rejected
from penstock.settings.tree import TimeBounds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECEIVED_US = 1_772_366_400_000_000
YEAR_1974_US, YEAR_2106_US = 126_230_400_000_000, 4_291_747_200_000_000

MOMENTS_US = st.integers(YEAR_1974_US, YEAR_2106_US)
UNITS_DIGITS = {"s": 6, "ms": 3, "us": 0, "ns": -3}


def parse(text: str) -> Timestamp:
    timestamp: Timestamp = msgspec.json.decode(text.encode(), type=Timestamp)
    return timestamp


@given(MOMENTS_US, st.sampled_from(list(UNITS_DIGITS.values())))
def test_an_epoch_number_in_any_unit_is_exact_to_the_microsecond(ts_us: int, digits: int) -> None:
    text = f"{ts_us * 10**-digits}" if digits <= 0 else f"{ts_us / 10**digits:.{digits}f}"

    assert to_us(parse(text)) == ts_us
    # Formats that read all numbers as doubles see no other moment.
    assert to_us(float(text)) == ts_us


@given(MOMENTS_US, st.sampled_from([1, 1_000, 1_000_000]))
def test_an_epoch_integer_is_exact_however_far_out(ts_us: int, step_us: int) -> None:
    whole = ts_us // step_us
    assert to_us(whole) == whole * step_us


@given(st.integers(0, 253_402_300_799_999_999), st.integers(-1439, 1439))
def test_a_date_in_any_offset_is_exact_in_every_year(ts_us: int, offset_minutes: int) -> None:
    moment = EPOCH + timedelta(microseconds=ts_us)
    try:
        local = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
    except OverflowError:  # the first and last day of the calendar
        local = moment

    assert to_us(parse(f'"{local.isoformat()}"')) == ts_us


@pytest.mark.parametrize(
    ("text", "ts_us"),
    [
        ("99999999999", 99_999_999_999_000_000),
        ("100000000000", 100_000_000_000_000),
        ("99999999999999", 99_999_999_999_999_000),
        ("100000000000000", 100_000_000_000_000),
        ("99999999999999999", 99_999_999_999_999_999),
        ("100000000000000000", 100_000_000_000_000),
        ("0", 0),
        ("-1", -1_000_000),
        ("-0.5", -500_000),
        ("1772366400.25", 1_772_366_400_250_000),
    ],
)
def test_the_magnitude_tells_the_unit(text: str, ts_us: int) -> None:
    assert to_us(parse(text)) == ts_us


@pytest.mark.parametrize(
    ("text", "ts_us"),
    [
        ("1772366400000000499", 1_772_366_400_000_000),
        ("1772366400000000500", 1_772_366_400_000_001),
        ('"2026-03-01T12:00:00.0000004Z"', 1_772_366_400_000_000),
        ('"2026-03-01T12:00:00.0000005Z"', 1_772_366_400_000_001),
        ('"2026-03-01T12:59:59.9999999+01:00"', 1_772_366_400_000_000),
    ],
)
def test_what_is_finer_than_a_microsecond_is_rounded(text: str, ts_us: int) -> None:
    assert to_us(parse(text)) == ts_us


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(10**4299))
def test_no_number_is_too_far_out_to_be_refused(number: float) -> None:
    window = TimeWindow(TimeBounds(future_seconds=60, past_seconds=60))
    with pytest.raises(Rejected) as caught:
        window.admit(number, RECEIVED_US)
    assert caught.value.reason is Reason.TIMESTAMP_OUT_OF_RANGE
    assert len(caught.value.detail) <= 300


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(-(10**13), 10**13) | st.integers(-9, 9),
)
def test_the_bounds_are_inclusive_and_relative_to_the_time_of_receipt(
    future_seconds: int, past_seconds: int, ahead_us: int
) -> None:
    window = TimeWindow(TimeBounds(future_seconds=future_seconds, past_seconds=past_seconds))
    for ts_us in (
        RECEIVED_US + ahead_us,
        RECEIVED_US + future_seconds * 1_000_000 + ahead_us % 3 - 1,
        RECEIVED_US - past_seconds * 1_000_000 + ahead_us % 3 - 1,
    ):
        ahead = ts_us - RECEIVED_US
        within = -past_seconds * 1_000_000 <= ahead <= future_seconds * 1_000_000
        try:
            assert window.admit(EPOCH + timedelta(microseconds=ts_us), RECEIVED_US) == ts_us
        except Rejected as rejected:
            admitted, reason = False, rejected.reason
        else:
            admitted, reason = True, Reason.TIMESTAMP_OUT_OF_RANGE
        assert admitted == within
        assert reason is Reason.TIMESTAMP_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("timestamp", "side"),
    [
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), "before 1970"),
        (-1, "before 1970"),
        (-1e300, "before 1970"),
        (10**19 * 1_000, "after the year 9999"),
        (1e300, "after the year 9999"),
    ],
)
def test_however_wide_the_bounds_the_database_can_store_what_is_admitted(
    timestamp: Timestamp, side: str
) -> None:
    window = TimeWindow(TimeBounds(future_seconds=10**15, past_seconds=10**15))
    with pytest.raises(Rejected) as caught:
        window.admit(timestamp, RECEIVED_US)
    assert side in caught.value.detail


@pytest.mark.parametrize(
    ("ahead_seconds", "moment", "told"),
    [
        (61, "2026-03-01T12:01:01+00:00", "61 s ahead of the time of receipt, of which 60"),
        (-31, "2026-03-01T11:59:29+00:00", "31 s back of the time of receipt, of which 30"),
    ],
)
def test_the_refusal_tells_how_far_off_the_clock_is(
    ahead_seconds: int, moment: str, told: str
) -> None:
    window = TimeWindow(TimeBounds(future_seconds=60, past_seconds=30))
    with pytest.raises(Rejected) as caught:
        window.admit(RECEIVED_US // 1_000_000 + ahead_seconds, RECEIVED_US)
    assert moment in caught.value.detail
    assert told in caught.value.detail
