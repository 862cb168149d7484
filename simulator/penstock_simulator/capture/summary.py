"""What a capture holds, in a few numbers."""

from collections import Counter
from typing import Literal

import msgspec

from penstock_simulator.capture.message import Captured
from penstock_simulator.capture.reading import CaptureReader

_MOST_LEVELS = 20

Kind = Literal["empty", "JSON object", "JSON list", "number or boolean", "text", "binary"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a capture holds."""

    began_at: str
    filters: list[str]
    truncated: bool
    """Whether its end is missing."""
    seconds: float
    """From its beginning to its last message."""
    messages: int
    topics: int
    """Different ones."""
    payload_bytes: int
    largest_payload_bytes: int
    retained: int
    by_qos: dict[int, int]
    by_kind: dict[str, int]
    """Messages by what their payloads look like."""
    by_level: dict[str, int]
    """Messages by the first level of their topics; the most frequent ones."""


def summarise(reader: CaptureReader) -> Summary:
    """Read a capture through.

    Raises:
        CaptureError: it is damaged.
    """
    topics: Counter[str] = Counter()
    by_qos: Counter[int] = Counter()
    by_kind: Counter[str] = Counter()
    payload_bytes = largest = retained = last_us = 0
    for message in reader.messages():
        size = len(message.payload)
        topics[message.topic] += 1
        by_qos[message.qos] += 1
        by_kind[kind_of(message)] += 1
        payload_bytes, largest = payload_bytes + size, max(largest, size)
        retained += message.retain
        last_us = max(last_us, message.at_us)
    levels: Counter[str] = Counter()
    for topic, count in topics.items():
        levels[topic.partition("/")[0]] += count
    return Summary(
        began_at=reader.header.began_at,
        filters=reader.header.filters,
        truncated=reader.truncated,
        seconds=last_us / 1e6,
        messages=topics.total(),
        topics=len(topics),
        payload_bytes=payload_bytes,
        largest_payload_bytes=largest,
        retained=retained,
        by_qos=dict(sorted(by_qos.items())),
        by_kind=dict(by_kind.most_common()),
        by_level=dict(levels.most_common(_MOST_LEVELS)),
    )


def kind_of(message: Captured) -> Kind:
    """What a payload looks like."""
    if message.text is None:
        return "binary" if message.base64 else "empty"
    try:
        value = msgspec.json.decode(message.text)
    except (msgspec.DecodeError, RecursionError):
        return "text"
    match value:
        case dict():
            return "JSON object"
        case list():
            return "JSON list"
        case bool() | int() | float():
            return "number or boolean"
        case _:
            return "text"
