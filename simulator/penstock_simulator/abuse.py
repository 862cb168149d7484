"""Messages that must be refused, each of a kind whose dead-letter reason is known beforehand.

Every one carries a marker that is found again in the raw payload of its dead letter, and would be
found in the name of a stored metric if the message were wrongly accepted:
`sim-<tag>-<lane>-<number>.`. Reasons are written out as the documentation has them, not taken
from the daemon's code: the judge must not agree with the accused by construction.
"""

import re
from functools import cache
from typing import NamedTuple

import msgspec

from penstock_simulator.fleet import Fleet
from penstock_simulator.identity import key_of

_DAY_US = 86_400_000_000
_LONG_NAME = "x" * 129
_OBJECTS = frozenset({"envelope", "flat"})
_ENVELOPE = frozenset({"envelope"})
_FLAT = frozenset({"flat"})
_SCALAR = frozenset({"scalar"})
_ALL = _OBJECTS | _SCALAR


class Abuse(NamedTuple):
    """One kind of message that must be refused."""

    profile: str
    name: str
    reason: str
    """What its dead letter must say."""
    text: str
    """The payload in Latin-1. `@` is the marker, TS the time; `{@` begins an object's readings."""
    formats: frozenset[str] = _OBJECTS
    """Those of Penstock's formats in which it is wrong for that reason."""
    device: str | None = None
    """A device name for the topic instead of a real one; `@` is lane and number."""
    off_us: int = 0
    """How wrong its time is."""

    def topic(self, fleet: Fleet, device: int, lane: int, number: int) -> str:
        """Where it is published, in the name of a device."""
        topic = fleet.topic_of(device)
        if self.device is None:
            return topic
        name = self.device.replace("@", f"{lane}-{number}-{fleet.tag}")
        return topic.replace(fleet.device(device), name)

    def build(self, fleet: Fleet, marker: str, ts_us: int) -> bytes:
        """Its payload."""
        text = self.text
        if text.startswith('{"@'):
            text = _object(fleet, text.removeprefix("{"))
        filled = text.replace("@", marker).replace("TS", str(ts_us + self.off_us))
        return filled.encode("latin-1")


def _object(fleet: Fleet, members: str) -> str:
    if fleet.shape == "flat":
        return f'{{"{fleet.timestamp_path}":TS,{members}'
    return f'{{"ts":TS,"metrics":{{{members}}}'


ABUSES: tuple[Abuse, ...] = (
    Abuse("malformed", "truncated", "malformed", '"@', _ALL),
    Abuse("malformed", "cut_off", "malformed", '{"ts":TS,"metrics":{"@":21.5'),
    Abuse("malformed", "not_json", "malformed", "temperature=21.5 @", _ALL),
    Abuse("malformed", "wrong_shape", "malformed", '{"ts":TS,"metrics":["@"]}', _ENVELOPE),
    Abuse("malformed", "not_an_object", "malformed", '"@"', _OBJECTS),
    Abuse("malformed", "an_object", "malformed", '{"value":"@"}', _SCALAR),
    Abuse("malformed", "not_a_number", "malformed", '{"@":NaN}'),
    Abuse("malformed", "infinite", "bad_value", '{"@":1e999}'),
    Abuse("malformed", "nul", "bad_value", '{"@":"a\\u0000b"}'),
    Abuse("malformed", "nul_text", "bad_value", '"@\\u0000"', _SCALAR),
    Abuse("malformed", "list_value", "bad_value", '{"@":[1,2]}', _ENVELOPE),
    Abuse("malformed", "bad_utf8", "bad_encoding", '{"@":"\xff\xfe"}'),
    Abuse("malformed", "bad_utf8_text", "bad_encoding", '"@\xff\xfe"', _SCALAR),
    Abuse("malformed", "half_surrogate", "bad_encoding", '{"@":"\\ud800"}'),
    Abuse(
        "malformed",
        "not_a_time",
        "bad_timestamp",
        '{"ts":"yesterday","metrics":{"@":1}}',
        _ENVELOPE,
    ),
    Abuse("malformed", "far_future", "timestamp_out_of_range", '{"@":1}', off_us=2 * _DAY_US),
    Abuse("malformed", "far_past", "timestamp_out_of_range", '{"@":1}', off_us=-400 * _DAY_US),
    Abuse("oversized", "payload", "payload_too_large", '"@' + "x" * 262_144 + '"', _ALL),
    Abuse("oversized", "text", "bad_value", '{"@":"' + "x" * 8_193 + '"}'),
    Abuse("oversized", "integer", "bad_value", '{"@":' + "9" * 4_000 + "}"),
    Abuse("oversized", "deep", "too_deep", '{"@":' + "[" * 1_000 + "]" * 1_000 + "}"),
    Abuse(
        "oversized",
        "metrics",
        "too_many_metrics",
        '{"@":1' + "".join(f',"m{number}":1' for number in range(1_000)) + "}",
    ),
    Abuse("hostile", "long_name", "bad_name", f'{{"@":1,"{_LONG_NAME}":1}}'),
    Abuse("hostile", "wildcard", "bad_name", '{"@":1,"a/+/b":1}'),
    Abuse("hostile", "no_name", "bad_name", '{"@":1,"":1}'),
    Abuse("hostile", "control", "bad_name", '{"@":1,"bell\\u0007":1}'),
    Abuse("hostile", "right_to_left", "bad_name", '{"@":1,"\\u202elevel":1}'),
    Abuse("hostile", "ambiguous", "bad_name", '{"@":1,"a.b":1,"a":{"b":2}}', _FLAT),
    Abuse("hostile", "long_device", "bad_topic", '"@"', _ALL, device=_LONG_NAME),
    Abuse("hostile", "no_device", "bad_topic", '"@"', _ALL, device=""),
    Abuse("hostile", "invisible_device", "bad_topic", '"@"', _ALL, device="pump\u200b7"),
    Abuse(
        "spoofed",
        "tenant",
        "tenant_mismatch",
        '{"tenant":"intruder","ts":TS,"metrics":{"@":1}}',
        _ENVELOPE,
    ),
    Abuse(
        "spoofed",
        "device",
        "device_mismatch",
        '{"device":"intruder","ts":TS,"metrics":{"@":1}}',
        _ENVELOPE,
    ),
    Abuse(
        "spoofed",
        "in_batch",
        "tenant_mismatch",
        '{"readings":[{"ts":TS,"metrics":{"@":1}},{"tenant":"intruder","ts":TS,"metrics":{}}]}',
        _ENVELOPE,
    ),
    Abuse("flood", "topics", "malformed", "flood @", _ALL, device="flood-@"),
)


def abuse_of(fleet: Fleet, lane: int, number: int) -> Abuse:
    """Which kind the `number`-th abuse of a lane is."""
    profiles = _profiles(fleet)
    key = key_of(fleet.seed, "abuse", str(lane), str(number))
    place = key % sum(weight for weight, _ in profiles)
    for weight, kinds in profiles:
        if place < weight:
            return kinds[(key >> 32) % len(kinds)]
        place -= weight
    raise AssertionError("a place below the sum of all weights is in one of them")


def marker(tag: str, lane: int, number: int) -> str:
    """What identifies the `number`-th abuse of a lane."""
    return f"sim-{tag}-{lane}-{number}."


def marker_pattern(tag: str) -> re.Pattern[bytes]:
    """Finds a marker of the run in a payload; its groups are lane and number."""
    return re.compile(rb"sim-%b-(\d+)-(\d+)\." % tag.encode())


@cache
def _profiles(fleet: Fleet) -> list[tuple[int, list[Abuse]]]:
    """The weight of each profile, and its kinds that this fleet's format knows."""
    format_name = fleet.route.get("format", "envelope")
    weights: dict[str, int] = msgspec.structs.asdict(fleet.abuse)
    kinds = {
        name: [a for a in ABUSES if a.profile == name and format_name in a.formats]
        for name in weights
    }
    profiles = [(weight, kinds[name]) for name, weight in weights.items() if weight and kinds[name]]
    if not profiles:
        raise ValueError(
            f"no abuse of the kinds that were asked for is of the format {format_name}"
        )
    return profiles
