"""Bad input of every kind, through every format that it concerns."""

import pytest

from penstock.decode.refusals import unreadable
from penstock.errors import Reason, Rejected
from penstock.settings.tree import Limits, Route
from tests.unit.decode.decoding import ENVELOPE, FLAT, SCALAR, decode, refusal

FORMATS = [
    pytest.param(ENVELOPE, b'{"metrics": {"a": %s}}', id="envelope"),
    pytest.param(FLAT, b'{"a": %s}', id="flat"),
    pytest.param(FLAT, b'{"n": [{"a": %s}]}', id="flat-nested"),
    pytest.param(SCALAR, b"%s", id="scalar"),
]
BRACKETS = 100_000


@pytest.mark.parametrize(("route", "frame"), FORMATS)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(b"NaN", Reason.MALFORMED, id="NaN"),
        pytest.param(b"-Infinity", Reason.MALFORMED, id="infinity"),
        pytest.param(b"01", Reason.MALFORMED, id="leading zero"),
        pytest.param(b"1.", Reason.MALFORMED, id="no fraction"),
        pytest.param(b"0x1F", Reason.MALFORMED, id="hexadecimal"),
        pytest.param(b"21,5", Reason.MALFORMED, id="decimal comma"),
        pytest.param(b"ON", Reason.MALFORMED, id="bare word"),
        pytest.param(b"21.5 C", Reason.MALFORMED, id="number with unit"),
        pytest.param(b"'on'", Reason.MALFORMED, id="single quotes"),
        pytest.param(b'"on', Reason.MALFORMED, id="open string"),
        pytest.param(b'"a\0b"', Reason.MALFORMED, id="raw NUL"),
        pytest.param(b'"a\nb"', Reason.MALFORMED, id="raw newline"),
        pytest.param(b'"\\x"', Reason.MALFORMED, id="unknown escape"),
        pytest.param(b'"\\ud8"', Reason.MALFORMED, id="short escape"),
        pytest.param(b"1e999", Reason.BAD_VALUE, id="1e999"),
        pytest.param(b"-1e999", Reason.BAD_VALUE, id="-1e999"),
        pytest.param(b"1" + b"0" * 309, Reason.BAD_VALUE, id="310 digits"),
        pytest.param(b"9" * 4000, Reason.BAD_VALUE, id="4000 digits"),
        pytest.param(b"9" * 200_000, Reason.BAD_VALUE, id="200000 digits"),
        pytest.param(b'"a\\u0000b"', Reason.BAD_VALUE, id="escaped NUL"),
        pytest.param(b'"%s"' % (b"x" * 8193), Reason.BAD_VALUE, id="long string"),
        pytest.param(b'"%s"' % ("ä" * 4097).encode(), Reason.BAD_VALUE, id="long in bytes"),
        pytest.param(b'"\\ud800"', Reason.BAD_ENCODING, id="high surrogate"),
        pytest.param(b'"\\ud800 and more text"', Reason.BAD_ENCODING, id="high surrogate inside"),
        pytest.param(b'"\\udc00"', Reason.BAD_ENCODING, id="low surrogate"),
        pytest.param(b'"\\ud800\\u0041"', Reason.BAD_ENCODING, id="high surrogate and letter"),
        pytest.param(b'"\\ud800\\ud800"', Reason.BAD_ENCODING, id="two high surrogates"),
        pytest.param(b'"\xff"', Reason.BAD_ENCODING, id="no UTF-8"),
        pytest.param(b'"\xc3"', Reason.BAD_ENCODING, id="half a character"),
        pytest.param(b'"\xed\xa0\x80"', Reason.BAD_ENCODING, id="surrogate in UTF-8"),
        pytest.param(b'"\xc0\x80"', Reason.BAD_ENCODING, id="overlong NUL"),
        pytest.param(b"\xff\xfe2\x001\x00", Reason.BAD_ENCODING, id="UTF-16"),
        pytest.param(b"[" * BRACKETS, Reason.TOO_DEEP, id="opening brackets"),
        pytest.param(b"[" * BRACKETS + b"]" * BRACKETS, Reason.TOO_DEEP, id="brackets"),
        pytest.param(b'{"a":' * 40_000, Reason.TOO_DEEP, id="opening braces"),
        pytest.param(b"[" * 17 + b"]" * 17, Reason.TOO_DEEP, id="one too deep"),
        pytest.param(b"1" * 262_145, Reason.PAYLOAD_TOO_LARGE, id="too large"),
    ],
)
def test_a_bad_value_has_the_same_outcome_in_every_format(
    route: Route, frame: bytes, value: bytes, reason: Reason
) -> None:
    found, detail = refusal(route, frame % value)
    assert found is reason, detail


@pytest.mark.parametrize("route", [ENVELOPE, FLAT, SCALAR])
@pytest.mark.parametrize(
    ("payload", "reason", "told"),
    [
        (b"", Reason.MALFORMED, "empty"),
        (b" \r\n", Reason.MALFORMED, "empty"),
        (b"\xef\xbb\xbf{}", Reason.MALFORMED, "byte order mark"),
        (b"{", Reason.MALFORMED, ""),
        (b"{} {}", Reason.MALFORMED, ""),
        (b"\x00", Reason.MALFORMED, ""),
        (b"\x1f\x8b\x08\x00", Reason.BAD_ENCODING, "byte 1"),
    ],
)
def test_what_is_not_json_is_told_apart(
    route: Route, payload: bytes, reason: Reason, told: str
) -> None:
    found, detail = refusal(route, payload)
    assert found is reason
    assert told in detail


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'"' + b'\\"' * 130_000 + b"\\", id="escaped quotes without end"),
        pytest.param(b"[]" * 130_000, id="brackets side by side"),
        pytest.param(b'["", ' * 40_000, id="strings"),
        pytest.param(b"\\" * 260_000, id="backslashes"),
        pytest.param(b'{"' + b"k" * 200_000 + b'": {' + b'"a": 1, ' * 5_000, id="long key"),
    ],
)
@pytest.mark.parametrize("route", [ENVELOPE, FLAT, SCALAR])
def test_looking_into_a_large_bad_payload_comes_to_an_end(route: Route, payload: bytes) -> None:
    refusal(route, payload)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert decode(SCALAR, b'"\\ud83d\\ude00"')[0].metrics == {"level": "\U0001f600"}


def test_half_a_pair_is_found_behind_whole_ones_and_escaped_backslashes() -> None:
    assert refusal(SCALAR, b'"\\\\\\ud83d\\ude00 \\\\ud800 \\udfff"')[0] is Reason.BAD_ENCODING
    assert refusal(SCALAR, b'"\\\\ud800" x')[0] is Reason.MALFORMED


def test_brackets_within_strings_are_not_nesting() -> None:
    reason, _ = refusal(ENVELOPE, b'{"metrics": {"a": ["\\"%s"]}}' % (b"[" * 50))
    assert reason is Reason.BAD_VALUE


def test_siblings_are_not_nesting() -> None:
    assert refusal(ENVELOPE, b'{"metrics": {"a": [%s]}}' % (b"[]," * 50))[0] is Reason.BAD_VALUE


def test_the_limits_are_inclusive() -> None:
    limits = Limits(payload_bytes=20, text_bytes=5)
    assert decode(SCALAR, b'"%s"' % b"abcde", limits)
    assert refusal(SCALAR, b'"abcdef"', limits)[0] is Reason.BAD_VALUE
    assert decode(SCALAR, b"1" * 20, limits)
    assert refusal(SCALAR, b"1" * 21, limits)[0] is Reason.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (b'{"metrics": {"a": 1, "b c": [1]}}', "$.metrics['b c']: Expected"),
        (b'{"metrics": {"a": {"value": 1, "quality": -1}}}', "$.metrics['a'].quality: Expected"),
        (b'[{"metrics": {}}, {"metrics": {"a": {}}}]', "$[1].metrics['a']: Object missing"),
        (b'{"readings": [{"metrics": {"a": 1e999}}]}', "$.readings[0].metrics['a']: Number out"),
        (b'{"metrics": {"a": [1], "a": 1}}', "$.metrics[...]: Expected"),
        (b'{"metrics": {"a": [1], "b": 01}}', "$.metrics[...]: Expected"),
    ],
)
def test_the_refusal_names_the_metric_where_it_can(payload: bytes, detail: str) -> None:
    assert refusal(ENVELOPE, payload)[1].startswith(detail)


def test_a_long_or_unprintable_name_is_told_short() -> None:
    _, detail = refusal(ENVELOPE, b'{"metrics": {"\\u0000%s": []}}' % (b"x" * 10_000))
    assert detail.startswith("$.metrics['\\x00xxx")


def test_the_parsers_own_words_are_kept_for_what_no_rule_knows() -> None:
    def accepts(_: object) -> object:
        raise AssertionError

    error = UnicodeDecodeError("utf-8", b"x", 0, 1, "odd")
    rejected = unreadable(error, b"{}", Limits(), accepts)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.MALFORMED
    assert "odd" in rejected.detail
