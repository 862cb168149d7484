"""A batch survives the disk as it is, or not at all."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import Batch
from penstock.pipeline.accounting import readings_by_tenant
from penstock.spool import codec
from penstock.spool.codec import decode_body, relabelled
from penstock.spool.label import Record, Unreadable, decode_label, readings_of_label, seal
from tests.support.batches import batch_of
from tests.support.spooling import batch_in, batches, record_of, rows_of


@given(batches(), st.integers(1, 2**63 - 1))
def test_a_batch_comes_back_as_it_was(batch: Batch, number: int) -> None:
    assert rows_of(batch_in(record_of(number, batch))) == rows_of(batch)


@given(batches())
def test_the_label_accounts_for_the_batch(batch: Batch) -> None:
    record = record_of(7, batch)
    label = decode_label(7, record.label)
    assert (label.received_us, label.rows) == (batch.first_received_us, batch.rows)
    assert readings_of_label(label) == dict(readings_by_tenant(batch))
    assert sum(readings_of_label(label).values()) == batch.rows


@given(batches())
def test_a_lost_label_can_be_made_from_the_body(batch: Batch) -> None:
    record = record_of(7, batch)
    lost = record._replace(label=b"")
    found = decode_label(7, relabelled(lost, decode_body(7, record.body)).label)
    expected = decode_label(7, record.label)
    assert (found.received_us, found.rows) == (expected.received_us, expected.rows)
    assert dict(found.readings) == dict(expected.readings)


def test_only_series_that_are_used_are_written() -> None:
    batch = batch_of(rows=2, tenants=500)
    assert record_of(1, batch).size_bytes < 300


@pytest.mark.parametrize("part", ["label", "body"])
def test_no_flipped_bit_goes_unnoticed(part: str) -> None:
    record = record_of(3, batch_of(rows=20, texts=5, dead_letters=2, tenants=3))
    sound: bytes = getattr(record, part)
    for bit in range(len(sound) * 8):
        data = bytearray(sound)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unreadable):
            read(part, with_part(record, part, bytes(data)))


@pytest.mark.parametrize("part", ["label", "body"])
def test_no_cut_and_no_garbage_goes_unnoticed(part: str) -> None:
    record = record_of(3, batch_of(rows=20, texts=5, dead_letters=2, tenants=3))
    sound: bytes = getattr(record, part)
    randomness = random.Random(part)
    cuts = [sound[:end] for end in range(len(sound))]
    garbage = [randomness.randbytes(randomness.randrange(200)) for _ in range(300)]
    for data in cuts + garbage:
        with pytest.raises(Unreadable):
            read(part, with_part(record, part, data))


@pytest.mark.parametrize("part", ["label", "body"])
def test_what_was_written_under_another_number_is_not_taken(part: str) -> None:
    record = record_of(3, batch_of(rows=2))
    with pytest.raises(Unreadable):
        read(part, record._replace(number=4))


@pytest.mark.parametrize(
    "change",
    [
        {"version": codec.FORMAT + 1},
        {"value": b"\0" * 8},
        {"ts_us": b"\0" * 9},
        {"keys": []},
        {"series": b"\xff" * 8},
    ],
)
def test_a_body_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    body = codec._body_of(batch_of(rows=2))
    forged = codec._encode(msgspec.structs.replace(body, **change))
    with pytest.raises(Unreadable, match="cannot be decoded"):
        decode_body(1, seal(1, forged))


def with_part(record: Record, part: str, data: bytes) -> Record:
    return record._replace(label=data) if part == "label" else record._replace(body=data)


def read(part: str, record: Record) -> None:
    if part == "label":
        decode_label(record.number, record.label)
    else:
        decode_body(record.number, record.body)
