from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.output import print_table, printable, rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.text(st.characters()))
def test_whatever_is_printed_cannot_steer_a_terminal(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_control_characters_show_as_escapes() -> None:
    assert printable("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_are_printed_without_loss(ts_us: int) -> None:
    text = rfc3339(ts_us)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) - EPOCH == timedelta(microseconds=ts_us)


def test_a_table_elsewhere_than_on_a_terminal_is_bare_and_aligned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("id", "detail"), [("7", "a [bold] word"), ("1000", "x\x07")])
    assert capsys.readouterr().out == "id    detail\n7     a [bold] word\n1000  x\\x07\n"
