"""Malformed messages, each of a kind whose dead-letter reason is known beforehand.

Every one carries a marker that is found again in the raw payload of its dead letter, and would be
found in the name of a stored metric if the message were wrongly accepted:
`sim-<tag>-<lane>-<number>.`. Reasons are written out as the documentation has them, not taken
from the daemon's code: the judge must not agree with the accused by construction.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from penstock_simulator.identity import key_of

_DAY_US = 86_400_000_000
_LONG_NAME = "x" * 129

Builder = Callable[[str, int], bytes]
"""Makes a payload from a marker and a plausible timestamp in microseconds."""


class Abuse(NamedTuple):
    """One kind of malformed message."""

    name: str
    reason: str
    """What its dead letter must say."""
    build: Builder
    device: str | None = None
    """A device name for the topic instead of a real one."""


def _metrics(text: str) -> Builder:
    return lambda marker, ts_us: (
        b'{"ts":%d,"metrics":{"' % ts_us + text.replace("@", marker).encode("latin-1") + b"}}"
    )


def _envelope(text: str) -> Builder:
    return lambda marker, ts_us: text.replace("@", marker).replace("TS", str(ts_us)).encode()


ABUSES: tuple[Abuse, ...] = (
    Abuse("truncated", "malformed", _envelope('{"ts":TS,"metrics":{"@":21.5')),
    Abuse("not_json", "malformed", _envelope("temperature=21.5 @")),
    Abuse("wrong_shape", "malformed", _envelope('{"ts":TS,"metrics":["@"]}')),
    Abuse("not_a_number", "malformed", _metrics('@":NaN')),
    Abuse("infinite", "bad_value", _metrics('@":1e999')),
    Abuse("huge_integer", "bad_value", _metrics('@":' + "9" * 4_000)),
    Abuse("nul", "bad_value", _metrics('@":"a\\u0000b"')),
    Abuse("list_value", "bad_value", _metrics('@":[1,2]')),
    Abuse("bad_utf8", "bad_encoding", _metrics('@":"\xff\xfe"')),
    Abuse("half_surrogate", "bad_encoding", _metrics('@":"\\ud800"')),
    Abuse("deep", "too_deep", _metrics('@":' + "[" * 1_000 + "]" * 1_000)),
    Abuse(
        "many_metrics",
        "too_many_metrics",
        _metrics('@":1' + "".join(f',"m{number}":1' for number in range(1_000))),
    ),
    Abuse("long_name", "bad_name", _metrics(f'@":1,"{_LONG_NAME}":1')),
    Abuse("wildcard_name", "bad_name", _metrics('@":1,"a/+/b":1')),
    Abuse("not_a_time", "bad_timestamp", _envelope('{"ts":"yesterday","metrics":{"@":1}}')),
    Abuse(
        "far_future",
        "timestamp_out_of_range",
        lambda marker, ts_us: _metrics('@":1')(marker, ts_us + 2 * _DAY_US),
    ),
    Abuse(
        "far_past",
        "timestamp_out_of_range",
        lambda marker, ts_us: _metrics('@":1')(marker, ts_us - 400 * _DAY_US),
    ),
    Abuse(
        "spoofed_tenant",
        "tenant_mismatch",
        _envelope('{"tenant":"intruder","ts":TS,"metrics":{"@":1}}'),
    ),
    Abuse(
        "spoofed_device",
        "device_mismatch",
        _envelope('{"device":"intruder","ts":TS,"metrics":{"@":1}}'),
    ),
    Abuse(
        "oversized",
        "payload_too_large",
        _metrics('@":"' + "x" * 262_144 + '"'),
    ),
    Abuse("long_device", "bad_topic", _metrics('@":1'), device=_LONG_NAME),
)


def abuse_of(seed: int, lane: int, number: int) -> Abuse:
    """Which kind the `number`-th malformed message of a lane is."""
    return ABUSES[key_of(seed, "abuse", str(lane), str(number)) % len(ABUSES)]


def marker(tag: str, lane: int, number: int) -> str:
    """What identifies the `number`-th malformed message of a lane."""
    return f"sim-{tag}-{lane}-{number}."


def marker_pattern(tag: str) -> re.Pattern[bytes]:
    """Finds a marker of the run in a payload; its groups are lane and number."""
    return re.compile(rb"sim-%b-(\d+)-(\d+)\." % tag.encode())
