from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Reason
from penstock.settings.tree import Limits, Route
from tests.unit.decode.decoding import FLAT, RECEIVED_US, decode, refusal


def flat(timestamp_path: str | None = None, *ignored: str) -> Route:
    return Route(
        topic="{tenant}/{device}",
        format="flat",
        timestamp_path=timestamp_path,
        ignore_paths=ignored,
    )


def readings_of(payload: bytes, route: Route = FLAT) -> dict[str, object]:
    (readings,) = decode(route, payload)
    return dict(readings.metrics)


def test_the_members_of_an_object_are_its_readings() -> None:
    payload = b'{"temperature": 21.5, "battery": 97, "contact": true, "state": "ON", "gone": null}'

    found = readings_of(payload)

    assert found == {
        "temperature": 21.5,
        "battery": 97.0,
        "contact": True,
        "state": "ON",
        "gone": None,
    }
    assert type(found["battery"]) is float


def test_nested_objects_and_arrays_flatten_to_dotted_names() -> None:
    payload = b"""{
        "ENERGY": {"Total": 12.5, "Power": [230, 0, 7]},
        "color": {"xy": {"x": 0.3, "y": null}},
        "channels": [{"on": true}, {"on": false}, []],
        "nothing": {}, "text": "{[", "last": 1
    }"""

    found = readings_of(payload)

    assert found == {
        "ENERGY.Total": 12.5,
        "ENERGY.Power.0": 230.0,
        "ENERGY.Power.1": 0.0,
        "ENERGY.Power.2": 7.0,
        "color.xy.x": 0.3,
        "color.xy.y": None,
        "channels.0.on": True,
        "channels.1.on": False,
        "text": "{[",
        "last": 1.0,
    }
    assert type(found["ENERGY.Power.0"]) is float
    assert found["channels.0.on"] is True


@pytest.mark.parametrize(
    ("route", "payload"),
    [
        (flat("time"), b'{"a": 1, "time": %s}'),
        (flat("time"), b'{"a": 1, "x": {"y": 1}, "time": %s}'),
        (flat("time.utc"), b'{"a": 1, "time": {"utc": %s}}'),
        (flat("time.utc"), b'{"a": 1, "time.utc": %s}'),
        (flat("times.1"), b'{"a": 1, "times": [0, %s]}'),
    ],
)
@pytest.mark.parametrize(
    ("ts", "ts_us"),
    [
        (b'"2026-03-01T12:00:00.000001Z"', RECEIVED_US + 1),
        (b'"2026-03-01T13:00:00+01:00"', RECEIVED_US),
        (b"1772366399", RECEIVED_US - 1_000_000),
        (b"1772366399.000001", RECEIVED_US - 999_999),
        (b"1772366399001", RECEIVED_US - 999_000),
        (b"1772366399000001", RECEIVED_US - 999_999),
        (b"1772366399000001000", RECEIVED_US - 999_999),
        (b"null", RECEIVED_US),
    ],
)
def test_the_timestamp_is_taken_from_its_path_and_is_no_reading(
    route: Route, payload: bytes, ts: bytes, ts_us: int
) -> None:
    (readings,) = decode(route, payload % ts)
    assert readings.ts_us == ts_us
    assert set(readings.metrics) <= {"a", "x.y", "times.0"}


def test_a_payload_without_its_timestamp_is_stamped_with_the_time_of_receipt() -> None:
    assert decode(flat("time"), b'{"a": 1}')[0].ts_us == RECEIVED_US


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        (b'"2026-03-01T12:00:00"', Reason.BAD_TIMESTAMP),
        (b'"1772366400"', Reason.BAD_TIMESTAMP),
        (b'"\\u0000"', Reason.BAD_TIMESTAMP),
        (b"true", Reason.BAD_TIMESTAMP),
        (b"{}", Reason.BAD_TIMESTAMP),
        (b'{"utc": 1}', Reason.BAD_TIMESTAMP),
        (b"[1772366400]", Reason.BAD_TIMESTAMP),
        (b"1772370001", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"-1", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"1e300", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b'"0001-01-01T00:00:00+14:00"', Reason.TIMESTAMP_OUT_OF_RANGE),
    ],
)
def test_a_bad_timestamp_is_refused_with_the_reason(ts: bytes, reason: Reason) -> None:
    assert refusal(flat("time"), b'{"a": 1, "time": %s}' % ts)[0] is reason


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        (("update",), {"a", "b.c", "b.d.0", "b.d.1"}),
        (("update", "b"), {"a"}),
        (("update", "b.d"), {"a", "b.c"}),
        (("update", "b.d.0", "a"), {"b.c", "b.d.1"}),
        (("update.state", "b"), {"a", "update.v"}),
        (("update", "missing", "b.c.d"), {"a", "b.c", "b.d.0", "b.d.1"}),
    ],
)
def test_ignored_paths_are_left_out_with_all_below_them(
    ignored: tuple[str, ...], left: set[str]
) -> None:
    payload = b'{"a": 1, "update": {"state": "idle", "v": 2}, "b": {"c": 1, "d": [1, 2]}}'
    assert set(readings_of(payload, flat(None, *ignored))) == left


def test_ignored_paths_apply_to_payloads_without_nesting_too() -> None:
    assert readings_of(b'{"a": 1, "b": 2}', flat(None, "b", "a.x")) == {"a": 1.0}


def test_what_is_ignored_may_nest_as_deep_as_the_parser_goes() -> None:
    payload = b'{"a": 1, "tree": %s}' % (b"[" * 100 + b"]" * 100)
    assert readings_of(payload, flat(None, "tree")) == {"a": 1.0}
    assert refusal(FLAT, payload)[0] is Reason.TOO_DEEP


def test_the_limit_of_depth_is_inclusive() -> None:
    limits = Limits(depth=3)
    assert decode(FLAT, b'{"a": {"b": [1]}}', limits)
    assert refusal(FLAT, b'{"a": {"b": [[]]}}', limits)[0] is Reason.TOO_DEEP
    assert refusal(FLAT, b'{"a": {}}', Limits(depth=1))[0] is Reason.TOO_DEEP
    assert decode(FLAT, b'{"a": 1}', Limits(depth=1))


@pytest.mark.parametrize(
    "payload", [b'{"a.b": 1, "a": {"b": 2}}', b'{"a": {"b.c": 1, "b": {"c": 2}}}']
)
def test_two_members_with_the_same_dotted_name_refuse_the_message(payload: bytes) -> None:
    reason, detail = refusal(FLAT, payload)
    assert reason is Reason.BAD_NAME
    assert "a.b" in detail


def test_the_last_of_duplicate_keys_wins() -> None:
    assert readings_of(b'{"a": 1, "a": {"b": 1, "b": 2}}') == {"a.b": 2.0}


def test_a_dotted_name_may_be_as_long_as_any_name() -> None:
    limits = Limits(name_characters=5)
    assert decode(FLAT, b'{"ab": {"cd": 1}}', limits)
    assert refusal(FLAT, b'{"ab": {"cde": 1}}', limits)[0] is Reason.BAD_NAME


def test_readings_are_counted_after_flattening() -> None:
    limits = Limits(metrics=3)
    assert decode(flat("t", "x"), b'{"a": [1, 2, 3], "t": 1772366400, "x": 1}', limits)
    assert refusal(FLAT, b'{"a": [1, 2, 3], "b": 1}', limits)[0] is Reason.TOO_MANY_METRICS


@pytest.mark.parametrize("payload", [b"[]", b'[{"a": 1}]', b"1", b'"a"', b"null"])
def test_only_an_object_is_flat(payload: bytes) -> None:
    assert refusal(FLAT, payload)[0] is Reason.MALFORMED


def test_the_payloads_own_tenant_and_device_are_readings_like_any_other() -> None:
    assert readings_of(b'{"tenant": "x", "device": 7}') == {"tenant": "x", "device": 7.0}


KEYS = st.text("abc", min_size=1, max_size=3)
LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | KEYS
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[str, object]:
    """The leaves of a JSON value by dotted path."""
    if isinstance(tree, list):
        tree = {str(position): member for position, member in enumerate(tree)}
    if not isinstance(tree, dict):
        return {".".join(path): tree}
    found: dict[str, object] = {}
    for key, member in tree.items():
        found |= leaves(member, (*path, key))
    return found


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_every_leaf_of_a_tree_becomes_a_reading(tree: dict[str, Any]) -> None:
    limits = Limits(depth=100)
    (readings,) = decode(FLAT, msgspec.json.encode(tree), limits)
    assert readings.metrics == leaves(tree)
