import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import PoisonError, Reason
from penstock.model import DeadLetter
from penstock.storage.copy_format import (
    DEAD_LETTER_COLUMNS,
    OLDEST_US,
    POSTGRES_EPOCH_US,
    encode_dead_letters,
    encode_readings,
    encode_text_readings,
    storable,
)

INT64 = st.integers(OLDEST_US, 2**63 - 1)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def rows_of(data: memoryview) -> Iterator[list[bytes | None]]:
    """Reads binary COPY as the manual describes it, independently of how it was written."""
    assert data[:19].tobytes() == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at = 19
    while (fields := struct.unpack_from(">h", data, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(fields):
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            row.append(None if length == -1 else data[at : at + length].tobytes())
            at += max(length, 0)
        yield row
    assert at + 2 == len(data)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2**31 - 1),
            st.integers(-(2**15), 2**15 - 1),
            INT64,
            st.floats(allow_nan=False),
        )
    )
)
def test_readings_are_encoded_field_by_field(rows: list[tuple[int, int, int, float]]) -> None:
    ids, quality, ts_us, value = zip(*rows, strict=True) if rows else ((), (), (), ())

    data = encode_readings(
        np.array(ids, dtype=np.int32),
        np.array(quality, dtype=np.int16),
        np.array(ts_us, dtype=np.int64),
        np.array(value, dtype=np.float64),
    )

    assert list(rows_of(data)) == [
        [
            struct.pack(">i", series_id),
            struct.pack(">h", quality),
            struct.pack(">q", ts_us - POSTGRES_EPOCH_US),
            struct.pack(">d", value),
        ]
        for series_id, quality, ts_us, value in rows
    ]


@given(st.lists(st.tuples(st.integers(1, 2**31 - 1), INT64, st.text(max_size=50))))
def test_text_readings_are_encoded_field_by_field(rows: list[tuple[int, int, str]]) -> None:
    ids, ts_us, values = zip(*rows, strict=True) if rows else ((), (), ())

    data = encode_text_readings(
        np.array(ids, dtype=np.int32), np.array(ts_us, dtype=np.int64), values
    )

    assert list(rows_of(data)) == [
        [
            struct.pack(">i", series_id),
            struct.pack(">q", ts_us - POSTGRES_EPOCH_US),
            value.encode(),
        ]
        for series_id, ts_us, value in rows
    ]


def test_a_timestamp_that_postgresql_cannot_hold_is_poison() -> None:
    ids, ts_us = np.ones(1, dtype=np.int32), np.array([OLDEST_US - 1], dtype=np.int64)

    with pytest.raises(PoisonError) as numbers:
        encode_readings(ids, ids.astype(np.int16), ts_us, np.ones(1))
    with pytest.raises(PoisonError) as texts:
        encode_text_readings(ids, ts_us, ["x"])

    assert numbers.value.sqlstate == texts.value.sqlstate == "22008"


@given(
    st.builds(
        DeadLetter,
        received_us=st.integers(-(2**63), 2**63 - 1),
        topic=st.none() | ANY_TEXT,
        payload=st.binary(),
        reason=st.sampled_from(Reason),
        detail=ANY_TEXT,
        tenant=st.none() | ANY_TEXT,
        device=st.none() | ANY_TEXT,
        sqlstate=st.none() | ANY_TEXT,
        correlation_id=st.none() | ANY_TEXT,
    )
)
def test_a_dead_letter_is_storable_whatever_it_holds(letter: DeadLetter) -> None:
    ((received_at, *texts),) = rows_of(encode_dead_letters([letter]))

    assert received_at is not None
    assert len(received_at) == 8
    assert texts.pop(DEAD_LETTER_COLUMNS.index("payload") - 1) == letter.payload
    for text in texts:
        assert text is None or "\0" not in text.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("devices/t/d", b"devices/t/d"),
        ("a\0b", b"a\\x00b"),
        ("\ud800", b"\\ud800"),
        ("żółw" * 5, ("żółw" * 2 + "ż").encode()),
    ],
)
def test_what_postgresql_refuses_is_escaped_and_what_is_too_long_is_cut(
    text: str, expected: bytes
) -> None:
    assert storable(text, max_bytes=17) == expected
