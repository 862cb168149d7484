"""The types of devices: what each is called, and what it measures.

Metrics with dots in their names belong together; payloads of the flat shape nest them. Penstock
takes no payload that speaks for another device than its topic names, so the children of a gateway
are metrics of it, with the child's name before the dot.
"""

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.forms import NumberForm, WordForm
from penstock_simulator.signals import (
    Battery,
    Counter,
    Drift,
    Gated,
    Opposed,
    Product,
    Raw,
    Signal,
    Steps,
    Switch,
    Wave,
)

DeviceType = Literal["environment", "power_meter", "pump", "gateway", "vehicle"]

CHILDREN = 8
"""Sensors behind each gateway."""

_HOUR_US = 3_600_000_000


class Metric(NamedTuple):
    """One of the things that a device measures."""

    name: str
    signal: Signal
    unit: str = ""
    decimals: int = 3
    boolean: bool = False
    words: tuple[str, ...] = ()
    """What the values of a text metric stand for, by their position."""

    @property
    def form(self) -> NumberForm | WordForm:
        """How its values are written as JSON."""
        if self.words:
            return WordForm(tuple(f'"{word}"'.encode() for word in self.words))
        if self.boolean:
            return WordForm((b"false", b"true"))
        return NumberForm(self.decimals, self.signal.low, self.signal.high)

    def values(self, raw: Raw) -> NDArray[np.float64]:
        """The numbers that are stored; each is the double nearest to its decimal text."""
        numbers: NDArray[np.float64] = raw / 10**self.decimals
        return numbers


class _Type(NamedTuple):
    stem: str
    metrics: tuple[Metric, ...]


def stem_of(kind: DeviceType) -> str:
    """What devices of a type are called."""
    return _TYPES[kind].stem


@cache
def metrics_of(kind: DeviceType, count: int) -> tuple[Metric, ...]:
    """The first `count` metrics of a type, or all when it is 0; nameless ones follow if needed."""
    own = _TYPES[kind].metrics
    if count == 0:
        return own
    names = (f"metric_{number:04d}" for number in range(len(own) + 1, count + 1))
    others = (Metric(n, Wave(n, 55_000, 10_000, 20_000, 5_000, 600_000_000)) for n in names)
    return (*own[:count], *others)


def _switch(name: str, signal: Switch) -> Metric:
    return Metric(name, signal, decimals=0, boolean=True)


def _wave(name: str, unit: str, centre: int, reach: int, swing: int, noise: int) -> Metric:
    return Metric(name, Wave(name, centre, reach, swing, noise), unit)


def _tyre(name: str) -> Metric:
    return Metric(name, Drift(f"{name}.leak", Wave(name, 2_000, 80, 60, 40), 300), "bar")


def _count(name: str, per_second: int, unit: str) -> Metric:
    return Metric(name, Counter(name, per_second), unit, decimals=0)


def _words(name: str, *words: str, hold_us: int = 600_000_000) -> Metric:
    signal = Steps(name, 0, len(words) - 1, hold_us=hold_us)
    return Metric(name, signal, decimals=0, words=words)


def _climate(prefix: str = "") -> tuple[Metric, ...]:
    warmth = Wave(f"{prefix}temperature", 24_000, 3_000, 5_000, 2_000)
    return (
        Metric(warmth.name, warmth, "°C"),
        Metric(f"{prefix}humidity", Opposed(f"{prefix}humidity", warmth, 50_000, 150, 4_000), "%"),
        Metric(f"{prefix}battery", Battery(f"{prefix}battery", 94_000, 20_000, 3_000), "%"),
    )


_VOLTAGE = Wave("voltage", 230_000, 2_000, 4_000, 3_000, _HOUR_US)
_CURRENT = Wave("current", 42_000, 12_000, 8_000, 4_000, _HOUR_US)
_RUNNING = Switch("running", 70)
_IGNITION = Switch("ignition", 60, 900_000_000)

_TYPES: dict[DeviceType, _Type] = {
    "environment": _Type(
        "sensor",
        (
            *_climate(),
            Metric("pressure", Drift("drift", Wave("pressure", 97_000, 500, 900, 900), 600), "kPa"),
            _wave("co2", "ppm", 550_000, 80_000, 150_000, 30_000),
            _switch("window", Switch("window", 20)),
            _words("state", "ok", "calibrating", "fault"),
        ),
    ),
    "power_meter": _Type(
        "meter",
        (
            Metric("voltage", _VOLTAGE, "V"),
            Metric("current", _CURRENT, "A"),
            Metric("power", Product(_VOLTAGE, _CURRENT, 1_000_000), "kW"),
            Metric("frequency", Wave("frequency", 50_000, 10, 40, 30, _HOUR_US), "Hz"),
            _count("energy.import", 2_400, "Wh"),
            _count("energy.export", 700, "Wh"),
            _words("tariff", "day", "night", hold_us=4 * _HOUR_US),
        ),
    ),
    "pump": _Type(
        "pump",
        (
            _switch("running", _RUNNING),
            Metric("flow", Gated(_RUNNING, Wave("flow", 36_000, 4_000, 3_000, 2_000)), "m³/h"),
            Metric("pressure", Gated(_RUNNING, Wave("pressure", 6_000, 800, 500, 400)), "bar"),
            _wave("motor.temperature", "°C", 61_000, 9_000, 8_000, 3_000),
            _wave("motor.vibration", "mm/s", 35_000, 5_000, 6_000, 5_000),
            Metric("setpoint", Steps("setpoint", 20_000, 60_000), "m³/h"),
            _count("volume", 10_000, "l"),
            _words("state", "idle", "priming", "pumping", "fault", hold_us=120_000_000),
        ),
    ),
    "gateway": _Type(
        "gateway",
        (
            _count("uptime", 1, "s"),
            Metric("rssi", Steps("rssi", -110, -40, 3, 60_000_000), "dBm", 0),
            *(metric for child in range(1, CHILDREN + 1) for metric in _climate(f"child-{child}.")),
        ),
    ),
    "vehicle": _Type(
        "vehicle",
        (
            Metric("latitude", Wave("latitude", 48_500_000, 900_000, 40_000, 90, _HOUR_US), "°", 6),
            Metric("longitude", Wave("longitude", 300_000, 900_000, 40_000, 90, _HOUR_US), "°", 6),
            Metric("speed", Gated(_IGNITION, Wave("speed", 62_000, 9_000, 45_000, 7_000)), "km/h"),
            _switch("ignition", _IGNITION),
            Metric("fuel", Battery("fuel", 90_000, 11_000, 500, 2 * 86_400_000_000), "%"),
            _count("odometer", 14, "m"),
            _wave("outside", "°C", 2_000, 6_000, 7_000, 1_000),
            *(_tyre(f"tyres.{number}") for number in range(4)),
            _words("gear", "park", "drive", "reverse", hold_us=900_000_000),
        ),
    ),
}
