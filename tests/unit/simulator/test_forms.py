"""Written values are read by any JSON parser as what they are."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.clocks import Clock, ClockForm, grain_us
from penstock_simulator.forms import NumberForm, WordForm

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def written(form: NumberForm | WordForm | ClockForm, raw: list[int]) -> list[bytes]:
    rows = np.tile(np.frombuffer(form.blank, dtype=np.uint8), (len(raw), 1))
    form.put(rows, np.array(raw, dtype=np.int64))
    return [row.tobytes() for row in rows]


@given(
    st.integers(0, 11),
    st.lists(st.integers(-(10**14), 10**14), min_size=2, max_size=9),
)
def test_a_number_is_read_as_the_nearest_double(decimals: int, raw: list[int]) -> None:
    form = NumberForm(decimals, min(raw), max(raw))
    texts = written(form, raw)
    assert [json.loads(text) for text in texts] == [number / 10**decimals for number in raw]
    assert form.padded == any(
        text.startswith(b" ") for text in written(form, [min(raw), max(raw)])
    ) or any(number < 0 for number in raw)


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1))
def test_a_word_is_read_whatever_its_length(raw: list[int]) -> None:
    form = WordForm((b'"on"', b"false", b'"standby"'))
    read = [json.loads(text) for text in written(form, raw)]
    assert read == [("on", False, "standby")[number] for number in raw]


@given(
    st.sampled_from(["us", "ms", "s", "ns", "iso"]),
    st.lists(st.integers(1_300_000_000_000_000, 4_000_000_000_000_000), min_size=1),
)
def test_a_timestamp_is_read_as_what_it_is(clock: Clock, raw: list[int]) -> None:
    grain = grain_us(clock)
    raw = [number // grain * grain for number in raw]
    read = [json.loads(text) for text in written(ClockForm(clock), raw)]
    if clock == "iso":
        times = [
            (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) for text in read
        ]
        assert times == raw
    else:
        assert read == [n * 1_000 if clock == "ns" else n // grain for n in raw]
