import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.topics import check_name
from penstock.topics.names import quote

PRINTABLE = st.characters(exclude_categories=("C", "Z"), exclude_characters="+#/\ufffd")


@given(st.text(PRINTABLE | st.just(" "), min_size=1, max_size=128))
def test_printable_characters_make_a_name(name: str) -> None:
    assert check_name(name) is None


@pytest.mark.parametrize("name", ["pump-7", "a.b", "$sys", "Außentemperatur", "温度", "T 1", "😀"])
def test_names_of_the_field_are_valid(name: str) -> None:
    assert check_name(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("x" * 129, "129 characters"),
        ("a/b", "+ # /"),
        ("a+", "+ # /"),
        ("#", "+ # /"),
        ("a\0", "not printable"),
        ("a\nb", "not printable"),
        ("a\tb", "not printable"),
        ("a\x7f", "not printable"),
        ("a\x85", "not printable"),
        ("a\u00a0b", "not printable"),
        ("a\u200bb", "not printable"),
        ("a\u202eb", "not printable"),
        ("a\ud800", "not printable"),
        ("a\ufffd", "U+FFFD"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, fault: str) -> None:
    found = check_name(name)
    assert found is not None
    assert fault in found


def test_the_limit_can_be_lower_and_is_inclusive() -> None:
    assert check_name("abcd", 4) is None
    assert check_name("abcde", 4) is not None
    assert check_name("x" * 128) is None


@given(st.text(st.characters()))
def test_what_is_quoted_can_be_stored_and_is_short(text: str) -> None:
    quoted = quote(text)
    assert quoted.isprintable()
    assert len(quoted) <= 83


def test_quoting_keeps_a_short_name_readable_and_shows_that_a_long_one_is_cut() -> None:
    assert quote("Außen 1") == "'Außen 1'"
    assert quote("x" * 300).endswith("…")
    assert quote("\0" * 60).endswith("…")
