"""What sensors measure can be computed again, one by one or many at once."""

import json
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.identity import bits, key_of, keys_of
from penstock_simulator.signals import KNOWN, OTHER, Signal, metric_names, signal_of, thousandths

SIGNALS = [*KNOWN.values(), OTHER]
MASK = 2**64 - 1


def reference_bits(key: int, sequence: int) -> int:
    """splitmix64 as its authors published it, in whole numbers."""
    state = (key + (sequence + 1) * 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def reference_thousandth(signal: Signal, key: int, sequence: int, ts_us: int) -> int:
    """One reading, in whole numbers."""

    def offset(source: int, reach: int) -> int:
        return (source >> 40) % (2 * reach + 1) - reach

    position = (ts_us + (key >> 24) % signal.period_us) % signal.period_us
    step = position * 4096 // signal.period_us
    height = (step % 2048) * (2048 - step % 2048)
    swing = signal.swing * height >> 20
    level = signal.centre + offset(key, signal.spread)
    noise = offset(reference_bits(key, sequence), signal.noise)
    return level + noise + (swing if step < 2048 else -swing)


keys = st.integers(0, MASK)
sequences = st.integers(0, 2**40)
times = st.integers(1_500_000_000_000_000, 2_500_000_000_000_000)


@given(st.sampled_from(SIGNALS), st.lists(st.tuples(keys, sequences, times), min_size=1))
def test_many_at_once_are_what_each_is_alone(
    signal: Signal, cases: list[tuple[int, int, int]]
) -> None:
    columns = list(zip(*cases, strict=True))
    together = thousandths(
        signal,
        np.array(columns[0], dtype=np.uint64),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=np.int64),
    )
    assert together.tolist() == [reference_thousandth(signal, *case) for case in cases]


@given(st.sampled_from(SIGNALS), keys, sequences, times)
def test_a_value_survives_json_exactly(signal: Signal, key: int, sequence: int, ts_us: int) -> None:
    number = reference_thousandth(signal, key, sequence, ts_us)
    text = f"{number // 1000}.{number % 1000:03d}"
    assert json.loads(text) == (np.array([number]) / 1_000)[0]


@given(st.sampled_from(SIGNALS), keys, sequences, times)
def test_all_values_of_a_metric_have_as_many_digits(
    signal: Signal, key: int, sequence: int, ts_us: int
) -> None:
    number = reference_thousandth(signal, key, sequence, ts_us)
    assert signal.low <= number <= signal.high
    assert len(str(number)) == signal.digits


@pytest.mark.parametrize("signal", SIGNALS)
def test_bounds_are_equally_long(signal: Signal) -> None:
    assert len(str(signal.low)) == len(str(signal.high)) == signal.digits


@given(st.lists(st.tuples(keys, sequences), min_size=1))
def test_bits_are_those_of_splitmix64(cases: list[tuple[int, int]]) -> None:
    together = bits(
        np.array([key for key, _ in cases], dtype=np.uint64),
        np.array([sequence for _, sequence in cases], dtype=np.int64),
    )
    assert together.tolist() == [reference_bits(key, sequence) for key, sequence in cases]


def test_keys_depend_on_every_name_and_on_the_seed() -> None:
    paths = [("a", "b"), ("ab",), ("a", "b", ""), ("b", "a")]
    assert len({key_of(seed, *path) for seed in (1, 2) for path in paths}) == 8


def test_keys_stay_the_same_from_version_to_version() -> None:
    digest = blake2b(b"7\x1fplant\x1fsensor", digest_size=8).digest()
    assert key_of(7, "plant", "sensor") == int.from_bytes(digest, "little")
    assert keys_of(7, [("plant", "sensor")]).tolist() == [key_of(7, "plant", "sensor")]


def test_metrics_beyond_the_known_ones_have_names_and_signals_too() -> None:
    names = metric_names(len(KNOWN) + 2)
    assert len(set(names)) == len(KNOWN) + 2
    assert names[:3] == ("temperature", "humidity", "battery")
    assert signal_of(names[-1]) == OTHER
