"""The builder's columns say what the messages said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Rejected
from penstock.model import GOOD_QUALITY, Readings, Sample, SeriesIndex, Value
from penstock.pipeline.builder import BatchBuilder
from penstock.pipeline.devices import Device
from tests.support.batches import dead_letter

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
ENVELOPES = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), NUMBERS)
    | st.dictionaries(st.sampled_from("abcdefgh"), NUMBERS | st.just("1.5") | st.none()),
    max_size=12,
)


def make() -> tuple[BatchBuilder, Device]:
    index = SeriesIndex()
    return BatchBuilder(index), Device(index, "acme", "pump-1")


def add(builder: BatchBuilder, device: Device, *groups: tuple[int, dict[str, Value]]) -> None:
    builder.begin(None, 10, 1)
    builder.add(device, [Readings(ts_us, metrics) for ts_us, metrics in groups])


def test_readings_of_an_envelope_share_its_timestamp() -> None:
    builder, device = make()
    add(builder, device, (7, {"a": 1.5, "b": 2.5}), (8, {"a": 3.5}))
    add(builder, device, (9, {"b": 4.5}))
    batch = builder.seal()
    metrics = [batch.index.keys[number].metric for number in batch.numbers.series]
    assert metrics == ["a", "b", "a", "b"]
    assert batch.numbers.ts_us.tolist() == [7, 7, 8, 9]
    assert batch.numbers.value.tolist() == [1.5, 2.5, 3.5, 4.5]
    assert batch.numbers.quality.tolist() == [GOOD_QUALITY] * 4
    assert (batch.messages, batch.size_bytes, batch.rows) == (2, 20, 4)


def test_booleans_are_numbers_strings_are_texts_and_null_is_no_reading() -> None:
    builder, device = make()
    add(builder, device, (7, {"on": True, "off": False, "mode": "auto", "gone": None, "x": 1.0}))
    batch = builder.seal()
    assert batch.numbers.value.tolist() == [1.0, 0.0, 1.0]
    assert list(batch.texts.value) == ["auto"]
    assert batch.texts.ts_us.tolist() == [7]
    assert batch.index.keys[batch.texts.series[0]].metric == "mode"
    assert {key.metric for key in batch.index.keys} == {"on", "off", "mode", "x"}


def test_a_sample_brings_its_quality_and_its_unit() -> None:
    builder, device = make()
    add(
        builder,
        device,
        (
            7,
            {
                "a": 1.0,
                "b": Sample(2.0, quality=64, unit="bar"),
                "c": Sample(True),
                "d": Sample("s"),
            },
        ),
    )
    batch = builder.seal()
    assert batch.numbers.value.tolist() == [1.0, 2.0, 1.0]
    assert batch.numbers.quality.tolist() == [GOOD_QUALITY, 64, GOOD_QUALITY]
    assert batch.index.units[1] == "bar"
    assert list(batch.texts.value) == ["s"]


def test_a_message_refused_midway_leaves_nothing_behind() -> None:
    builder, device = make()
    add(builder, device, (7, {"a": 1.0, "t": "kept"}))
    with pytest.raises(Rejected):
        add(
            builder,
            device,
            (8, {"a": 2.0, "q": Sample(3.0, quality=0), "t": "gone"}),
            (9, {"b": 4.0, "bad/name": 5.0}),
        )
    add(builder, device, (10, {"a": 6.0}))
    batch = builder.seal()
    assert batch.numbers.value.tolist() == [1.0, 6.0]
    assert batch.numbers.ts_us.tolist() == [7, 10]
    assert batch.numbers.quality.tolist() == [GOOD_QUALITY] * 2
    assert list(batch.texts.value) == ["kept"]
    assert batch.rows == 3


def test_a_message_without_readings_is_counted_and_acknowledged() -> None:
    builder, device = make()
    builder.begin(5, 2, 1)
    builder.add(device, [Readings(7, {"gone": None})])
    assert (builder.empty_messages, builder.packet_ids) == (1, [5])
    batch = builder.seal()
    assert (batch.messages, batch.rows) == (1, 0)


def test_a_dead_letter_is_a_row_of_the_batch() -> None:
    builder, _ = make()
    builder.begin(1, 3, 42)
    builder.reject(dead_letter())
    assert builder.rows == 1
    batch = builder.seal()
    assert (len(batch.dead_letters), batch.rows, batch.readings) == (1, 1, 0)
    assert batch.first_received_us == 42


def test_a_sealed_batch_shares_nothing_with_the_next() -> None:
    builder, device = make()
    add(builder, device, (7, {"a": 1.0, "s": "x"}))
    first = builder.seal()
    add(builder, device, (8, {"a": 2.0}))
    second = builder.seal()
    assert (first.number, second.number) == (1, 2)
    assert first.numbers.value.tolist() == [1.0]
    assert second.numbers.value.tolist() == [2.0]
    assert len(second.texts.value) == 0
    assert first.numbers.series.dtype == second.texts.series.dtype == np.int32


@given(ENVELOPES)
def test_readings_are_the_same_whether_taken_one_by_one_or_together(
    envelopes: list[dict[str, Value]],
) -> None:
    builder, device = make()
    for ts_us, metrics in enumerate(envelopes):
        add(builder, device, (ts_us, metrics))
    batch = builder.seal()
    columns = batch.numbers
    stored = [
        (int(ts_us), batch.index.keys[number].metric, value)
        for ts_us, number, value in zip(columns.ts_us, columns.series, columns.value, strict=True)
    ]
    texts = list(batch.texts.value)
    assert sorted(stored) == sorted(
        (ts_us, name, float(value))
        for ts_us, metrics in enumerate(envelopes)
        for name, value in metrics.items()
        if isinstance(value, float | bool)
    )
    assert texts == [v for m in envelopes for v in m.values() if isinstance(v, str)]
    assert batch.rows == len(stored) + len(texts)


def test_metrics_in_another_order_are_told_apart() -> None:
    builder, device = make()
    names = "abcdef"
    for ts_us, order in enumerate((names, names, names[::-1], names[1:], names)):
        add(builder, device, (ts_us, {name: float(names.index(name)) for name in order}))
    columns = builder.seal().numbers
    assert columns.value.tolist() == columns.series.tolist()
    assert columns.ts_us.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 5 + [4] * 6


def test_a_bad_name_in_a_long_envelope_leaves_nothing_behind() -> None:
    builder, device = make()
    good: dict[str, Value] = dict.fromkeys("abcdef", 1.0)
    add(builder, device, (7, good))
    with pytest.raises(Rejected):
        add(builder, device, (8, {**good, "": 2.0}))
    add(builder, device, (9, good))
    batch = builder.seal()
    assert batch.numbers.ts_us.tolist() == [7] * 6 + [9] * 6
    assert batch.numbers.value.tolist() == [1.0] * 12
