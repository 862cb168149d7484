"""What devices measure can be computed again, one by one or many at once, and looks like it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.devices import Metric, metrics_of
from penstock_simulator.identity import bits, key_of, keys_of
from penstock_simulator.signals import Moment, Raw
from penstock_simulator.signals.waves import DAY_US

TYPES = ("environment", "power_meter", "pump", "gateway", "vehicle")
METRICS = {f"{kind} {metric.name}": metric for kind in TYPES for metric in metrics_of(kind, 0)}
MASK = 2**64 - 1
START_US = 1_790_000_000_000_000

keys = st.integers(0, MASK)
sequences = st.integers(0, 2**40)
times = st.integers(1_500_000_000_000_000, 2_500_000_000_000_000)
moments = st.lists(st.tuples(keys, sequences, times), min_size=1)


def reference_bits(key: int, sequence: int) -> int:
    """splitmix64 as its authors published it, in whole numbers."""
    state = (key + (sequence + 1) * 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def moment_of(cases: list[tuple[int, int, int]]) -> Moment:
    columns = list(zip(*cases, strict=True))
    return Moment(
        np.array(columns[0], dtype=np.uint64),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=np.int64),
    )


def metric(kind: str, name: str) -> Metric:
    return METRICS[f"{kind} {name}"]


def course(kind: str, name: str, *, step_us: int, count: int = 2_000, key: int = 7) -> Raw:
    """What one device measures over time."""
    return metric(kind, name).signal.at(
        moment_of([(key, number, START_US + number * step_us) for number in range(count)])
    )


@given(st.sampled_from(sorted(METRICS)), moments)
def test_many_at_once_are_what_each_is_alone_and_within_bounds(
    name: str, cases: list[tuple[int, int, int]]
) -> None:
    signal = METRICS[name].signal
    together = signal.at(moment_of(cases)).tolist()
    assert together == [int(signal.at(moment_of([case]))[0]) for case in cases]
    assert all(signal.low <= value <= signal.high for value in together)


@given(st.lists(st.tuples(keys, sequences), min_size=1))
def test_bits_are_splitmix64(cases: list[tuple[int, int]]) -> None:
    together = bits(
        np.array([key for key, _ in cases], dtype=np.uint64),
        np.array([sequence for _, sequence in cases], dtype=np.int64),
    )
    assert together.tolist() == [reference_bits(key, sequence) for key, sequence in cases]


def test_keys_depend_on_every_name_and_on_the_seed() -> None:
    paths = [("a", "b"), ("ab",), ("a", "b", ""), ("b", "a")]
    assert len({key_of(seed, *path) for seed in (1, 2) for path in paths}) == 8
    assert keys_of(7, [("plant", "sensor")]).tolist() == [key_of(7, "plant", "sensor")]


def test_values_stay_the_same_on_every_machine() -> None:
    of_each = [
        int(course(kind, metrics_of(kind, 0)[0].name, step_us=1, count=1)[0]) for kind in TYPES
    ]
    assert of_each == [27945, 226238, 1, 2461914583, 49003995]


@pytest.mark.parametrize("name", sorted(METRICS))
def test_devices_differ(name: str) -> None:
    kind, own = name.split(" ")
    one, two = (course(kind, own, step_us=3_600_000_000, key=key) for key in (1, 2))
    assert (one != two).any()


def test_a_day_goes_up_and_down() -> None:
    day = course("environment", "temperature", step_us=DAY_US // 2_000)
    smooth = np.convolve(day, np.ones(100) / 100, "valid")
    assert smooth.max() - smooth.min() > 8_000


def test_power_is_voltage_times_current() -> None:
    volts, amperes, power = (
        course("power_meter", name, step_us=10**7) for name in ("voltage", "current", "power")
    )
    assert (power == volts * amperes // 1_000_000).all()


def test_humidity_falls_as_temperature_rises() -> None:
    warmth, humidity = (
        course("environment", name, step_us=10**8) for name in ("temperature", "humidity")
    )
    assert np.corrcoef(warmth, humidity)[0, 1] < -0.8


def test_nothing_flows_while_the_pump_is_off() -> None:
    running, flow = (course("pump", name, step_us=10**7) for name in ("running", "flow"))
    assert set(running.tolist()) == {0, 1}
    assert ((flow > 0) == (running == 1)).all()


def test_a_set_point_stays_and_jumps() -> None:
    changes = np.count_nonzero(np.diff(course("pump", "setpoint", step_us=10**7)))
    assert 0 < changes < 100


def test_a_signal_strength_stays_but_for_its_noise() -> None:
    strength = course("gateway", "rssi", step_us=1_000, count=1_000)
    assert len(set(strength.tolist())) == 7


def test_a_counter_counts_and_wraps_at_32_bits() -> None:
    volume = course("pump", "volume", step_us=10**9)
    rises = set(np.diff(volume).tolist())
    assert rises == {10**7, 10**7 - 2**32}


def test_a_battery_drains_and_is_replaced() -> None:
    charge = course("environment", "battery", step_us=DAY_US // 10)
    smooth = np.convolve(charge, np.ones(20) / 20, "valid")
    assert smooth.min() < 30_000
    replacements = np.flatnonzero(np.diff(charge) > 50_000)
    assert len(replacements) in (6, 7)


def test_a_sensor_drifts_until_it_is_calibrated() -> None:
    pressure = course("environment", "pressure", step_us=DAY_US)
    base = metric("environment", "pressure").signal.base.at(  # type: ignore[attr-defined]
        moment_of([(7, number, START_US + number * DAY_US) for number in range(2_000)])
    )
    off = pressure - base
    assert set(np.sign(np.diff(off)).tolist()) == {-1, 1}
    assert off.max() > 580
    assert np.count_nonzero(np.diff(off) < 0) in (22, 23)


def test_metrics_beyond_those_of_the_type_have_names_and_signals_too() -> None:
    for kind in TYPES:
        every = [each.name for each in metrics_of(kind, 40)]
        assert len(set(every)) == 40
        own = [each.name for each in metrics_of(kind, 0)]
        assert every[: len(own)] == own
        assert [each.name for each in metrics_of(kind, 2)] == own[:2]
