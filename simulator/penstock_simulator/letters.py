"""Reads a dead letter of a well-formed message, which no run should bring forth."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from penstock_simulator.fleet import Fleet

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY = -1


class Letter(NamedTuple):
    """A dead letter as the database has it."""

    reason: str
    payload: bytes
    device: str | None


class _Payload(msgspec.Struct):
    ts: int | datetime
    metrics: dict[str, object]


class LetterReader:
    """Reads dead letters of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._devices = {fleet.device(number): number for number in range(fleet.size)}
        self._metrics = fleet.metric_names

    def read(self, letter: Letter) -> tuple[int, int, list[int]]:
        """Device number, timestamp in µs, and the metric numbers that a dead letter tells of.

        The device number is -1 where the letter tells of none of the fleet's readings.
        """
        device = self._devices.get(letter.device or "", _NOBODY)
        try:
            payload = msgspec.json.decode(letter.payload, type=_Payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _NOBODY, 0, []
        metrics = [n for n, name in enumerate(self._metrics) if name in payload.metrics]
        return device, _microseconds(payload.ts), metrics


def _microseconds(ts: int | datetime) -> int:
    if isinstance(ts, int):
        return ts
    return (ts.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
