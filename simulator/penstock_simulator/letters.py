"""Reads a dead letter of a well-formed message, which no run should bring forth."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from penstock_simulator.fleet import Fleet

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY = -1
_UNITS_US = ((10**11, 1_000_000), (10**14, 1_000), (10**17, 1))
"""Epoch numbers below the first are of so many µs; others are nanoseconds."""


_OTHER_MAKE = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What comes of reading a payload that is not of the shape that it seems to have."""


class Letter(NamedTuple):
    """A dead letter as the database has it."""

    reason: str
    payload: bytes
    device: str | None
    topic: str | None = None


class Refused(NamedTuple):
    """A reading that a dead letter tells of."""

    metric: int
    ts_us: int
    value: float
    """For readings without a time, which are known by it; 0 where it is no number."""


class LetterReader:
    """Reads dead letters of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._devices = {fleet.device(number): number for number in range(fleet.size)}
        self._metrics = {name: number for number, name in enumerate(fleet.metric_names)}

    def read(self, letter: Letter) -> tuple[int, list[Refused]]:
        """The number of the device, and the readings that a dead letter tells of.

        The device number is -1 where the letter tells of none of the fleet's readings.
        """
        device = self._devices.get(letter.device or "", _NOBODY)
        try:
            payload = msgspec.json.decode(letter.payload)
            return device, list(self._readings(payload, letter))
        except (msgspec.MsgspecError, *_OTHER_MAKE):
            return _NOBODY, []

    def _readings(self, payload: Any, letter: Letter) -> Iterator[Refused]:
        if isinstance(payload, dict) and "readings" in payload:
            payload = payload["readings"]
        if isinstance(payload, list):
            for envelope in payload:
                yield from self._envelope(envelope)
        elif isinstance(payload, dict) and "metrics" in payload:
            yield from self._envelope(payload)
        elif isinstance(payload, dict):
            yield from self._flat(payload)
        else:
            yield from self._scalar(payload, letter.topic or "")

    def _envelope(self, envelope: Any) -> Iterator[Refused]:
        ts_us = _microseconds(envelope.get("ts"))
        for name, value in envelope["metrics"].items():
            if name in self._metrics:
                number = value.get("value") if isinstance(value, dict) else value
                yield Refused(self._metrics[name], ts_us, _number(number))

    def _flat(self, members: dict[str, Any]) -> Iterator[Refused]:
        ts_us = _microseconds(members.get(self._fleet.timestamp_path))
        for name, value in _flattened(members, ""):
            if name in self._metrics:
                yield Refused(self._metrics[name], ts_us, _number(value))

    def _scalar(self, value: Any, topic: str) -> Iterator[Refused]:
        for name in topic.split("/"):
            if name in self._metrics:
                yield Refused(self._metrics[name], 0, float(value))


def _flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, member in members:
            yield from _flattened(member, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _microseconds(ts: Any) -> int:
    if isinstance(ts, int):
        for below, unit_us in _UNITS_US:
            if ts < below:
                return ts * unit_us
        return ts // 1_000
    if ts is None:
        return 0
    return (msgspec.convert(ts, datetime).astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
