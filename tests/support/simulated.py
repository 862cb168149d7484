"""What simulated packets say, read with nothing of the simulator's."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import mqtt5

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_BELOW, MILLISECONDS_BELOW, MICROSECONDS_BELOW = 10**11, 10**14, 10**17


class Sample(NamedTuple):
    """One reading; a text has no quality, and what the topic names has no time."""

    metric: str
    ts_us: int
    value: float | str
    quality: int | None


def packets_of(data: bytes | memoryview) -> list[mqtt5.PublishPacket]:
    """The packets in a piece of a stream."""
    view, packets = memoryview(data), []
    while view:
        packet, used = mqtt5.read(view)
        assert isinstance(packet, mqtt5.PublishPacket)
        packets.append(packet)
        view = view[used:]
    return packets


def samples_of(payload: bytes, *, metric: str | None, timestamp_path: str | None) -> list[Sample]:
    """The readings of a payload; `metric` is the one that a topic names."""
    body = json.loads(payload)
    if metric is not None:
        return [_sample(metric, 0, json.loads(body) if isinstance(body, str) else body)]
    if timestamp_path is not None:
        ts_us = _microseconds(body.pop(timestamp_path))
        return [_sample(name, ts_us, value) for name, value in _flattened("", body)]
    envelopes = body if isinstance(body, list) else body.get("readings", [body])
    return [
        _sample(name, _microseconds(envelope["ts"]), value)
        for envelope in envelopes
        for name, value in envelope["metrics"].items()
    ]


def _sample(metric: str, ts_us: int, value: Any) -> Sample:
    if isinstance(value, str):
        return Sample(metric, ts_us, value, None)
    if isinstance(value, dict):
        return Sample(metric, ts_us, float(value["value"]), value["quality"])
    return Sample(metric, ts_us, float(value), 192)


def _flattened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict | list):
        yield name, value
        return
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flattened(f"{name}.{key}" if name else str(key), member)


def _microseconds(ts: int | str) -> int:
    if isinstance(ts, str):
        return (datetime.fromisoformat(ts) - EPOCH) // timedelta(microseconds=1)
    if ts < SECONDS_BELOW:
        return ts * 1_000_000
    if ts < MILLISECONDS_BELOW:
        return ts * 1_000
    return ts if ts < MICROSECONDS_BELOW else ts // 1_000
