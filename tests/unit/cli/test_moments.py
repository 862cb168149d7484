from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.moments import moment
from penstock.errors import ConfigError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_span_means_so_long_ago(text: str, ago: timedelta) -> None:
    assert moment(text, NOW) == NOW - ago


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_with_an_offset_means_itself(time: datetime) -> None:
    assert moment(time.isoformat(), NOW) == time


def test_z_is_an_offset() -> None:
    assert moment("2026-01-31T08:00:00Z", NOW) == datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "d", "7", "-7d", "7 d", "7y", "999999w", "soon", "٣d"])
def test_anything_else_is_refused_with_the_form_that_is_wanted(text: str) -> None:
    with pytest.raises(ConfigError, match="30m, 12h, 7d or"):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T08:00:00"])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no offset from UTC"):
        moment(text, NOW)
