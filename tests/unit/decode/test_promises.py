"""Whatever the bytes: a decoder raises `Rejected` or yields what the database can store."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import Rejected
from penstock.settings.tree import Limits, Route
from tests.unit.decode.decoding import (
    ENVELOPE,
    FLAT,
    SCALAR,
    assert_storable,
    assert_tellable,
    decode,
)

ROUTES = [
    ENVELOPE,
    FLAT,
    Route(
        topic="{tenant}/{device}",
        format="flat",
        timestamp_path="ts",
        ignore_paths=("seq", "metrics.a"),
    ),
    SCALAR,
]
LIMITS = Limits(payload_bytes=4_000, metrics=6, depth=4, text_bytes=12, name_characters=20)

NUMBERS = b"""NaN Infinity 1e999 -1e-999 1e300 -1 01 - 18446744073709551616 1772366400
    1772366400000 1772366400.5""".split()
STRINGS = rb"""
    "\u0000" "\ud800" "\udc00\ud800" "\ud83d\ude00" "long_string_of_text" "acme"
    "2026-03-01T12:00:00Z" "2026-03-01T12:00:00" "0001-01-01T00:00:00+14:00"
""".split()
BROKEN = [b'"\xff"', b"\xef\xbb\xbf", b"\0", b'"', b"\\", *(b"%c" % sign for sign in b"[]{},:")]
LARGE = [b"[[[[[[", b'{"a":{"a":{"a":', b"9" * 400, b"9" * 4400]
ODD_TOKENS = [*NUMBERS, *STRINGS, *BROKEN, *LARGE, b"tru", b"true", b"null"]

MEANINGFUL_KEYS = b"metrics readings ts seq tenant device value quality unit".split()
ODD_KEYS = [b"a", b"b", b"a.b", b"", b"\\u0000", b"\\ud800", b"\xff", b"k" * 200]
KEYS = st.sampled_from([*MEANINGFUL_KEYS, *ODD_KEYS])
TOKENS = (
    st.sampled_from(ODD_TOKENS)
    | st.floats().map(lambda number: repr(number).encode())
    | st.integers().map(lambda number: str(number).encode())
)


def join_members(members: list[tuple[bytes, bytes]]) -> bytes:
    return b"{%s}" % b",".join(b'"%s":%s' % member for member in members)


DOCUMENTS = st.recursive(
    TOKENS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda values: b"[%s]" % b",".join(values))
        | st.lists(st.tuples(KEYS, inner), max_size=5).map(join_members)
    ),
    max_leaves=20,
)
ENVELOPES = st.lists(st.tuples(KEYS, DOCUMENTS), max_size=5).map(
    lambda members: b'{"metrics":%s,"ts":1772366400}' % join_members(members)
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A document of which a part is missing, or replaced by something else."""
    whole = draw(DOCUMENTS | ENVELOPES)
    start = draw(st.integers(0, len(whole)))
    stop = draw(st.integers(start, min(len(whole), start + 5)))
    return whole[:start] + draw(TOKENS | st.binary(max_size=4) | st.just(b"")) + whole[stop:]


@pytest.mark.parametrize("limits", [Limits(), LIMITS])
@pytest.mark.parametrize("route", ROUTES)
@given(payload=st.binary(max_size=60) | DOCUMENTS | ENVELOPES | damaged())
@example(payload=b"[" * 100_000)
@example(payload=b'{"a":' * 50_000)
@settings(max_examples=200)
def test_a_message_is_refused_or_can_be_stored(
    route: Route, limits: Limits, payload: bytes
) -> None:
    try:
        groups = decode(route, payload, limits)
    except Rejected as rejected:
        assert_tellable(rejected)
    else:
        assert_storable(groups, route, limits)
