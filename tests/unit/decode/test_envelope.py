from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Reason
from penstock.model import Readings, Sample, Value
from penstock.settings.tree import Limits, Route, TimeBounds
from tests.unit.decode.decoding import ENVELOPE, RECEIVED_US, decode, refusal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = NUMBERS | st.booleans() | TEXTS | st.none()
SAMPLES = st.builds(
    Sample,
    value=PLAIN,
    quality=st.integers(0, 32767),
    unit=st.none() | TEXTS.filter(lambda unit: len(unit) <= 64),
)
METRICS = st.dictionaries(NAMES, PLAIN | SAMPLES, max_size=8)
BOUNDS = TimeBounds()
MOMENTS_US = st.integers(
    RECEIVED_US - BOUNDS.past_seconds * 1_000_000, RECEIVED_US + BOUNDS.future_seconds * 1_000_000
)


def envelope(ts_us: int, metrics: Mapping[str, Value], *, dated: bool) -> dict[str, object]:
    moment = EPOCH + timedelta(microseconds=ts_us)
    return {"ts": moment.isoformat() if dated else ts_us, "metrics": metrics}


@given(st.lists(st.tuples(MOMENTS_US, METRICS, st.booleans()), max_size=4), st.data())
def test_envelopes_come_out_as_they_went_in(
    contents: list[tuple[int, dict[str, Value], bool]], data: st.DataObject
) -> None:
    envelopes = [envelope(ts_us, metrics, dated=dated) for ts_us, metrics, dated in contents]
    forms: list[object] = [envelopes, {"readings": envelopes}]
    if len(envelopes) == 1:
        forms.append(envelopes[0])
    payload = msgspec.json.encode(data.draw(st.sampled_from(forms)))

    assert decode(ENVELOPE, payload) == [Readings(ts_us, metrics) for ts_us, metrics, _ in contents]


def test_every_kind_of_value_is_read() -> None:
    payload = b"""{"metrics": {
        "number": 21.5, "integer": 97, "large": 9223372036854775808, "negative zero": -0.0,
        "flag": true, "text": "on", "nothing": null,
        "sample": {"value": 3, "quality": 24, "unit": "bar", "colour": "blue"},
        "bare sample": {"value": "idle"}, "no sample": {"value": null}
    }}"""

    (readings,) = decode(ENVELOPE, payload)

    assert readings.metrics == {
        "number": 21.5,
        "integer": 97.0,
        "large": 2.0**63,
        "negative zero": 0.0,
        "flag": True,
        "text": "on",
        "nothing": None,
        "sample": Sample(3.0, 24, "bar"),
        "bare sample": Sample("idle", 192),
        "no sample": Sample(None, 192),
    }
    assert type(readings.metrics["integer"]) is float
    assert readings.metrics["flag"] is True


@pytest.mark.parametrize("ts", [b"", b'"ts": null, '])
def test_an_envelope_without_timestamp_is_stamped_with_the_time_of_receipt(ts: bytes) -> None:
    assert decode(ENVELOPE, b'{%s"metrics": {"a": 1}}' % ts)[0].ts_us == RECEIVED_US


@pytest.mark.parametrize("frame", [b"[%s]", b'{"readings": [%s]}'])
def test_envelopes_of_a_batch_without_timestamps_are_no_duplicates(frame: bytes) -> None:
    bare, dated = b'{"metrics": {"a": 1}}', b'{"ts": 1772366000, "metrics": {"a": 1}}'

    groups = decode(ENVELOPE, frame % b",".join([bare, dated, bare, bare]))

    assert [group.ts_us for group in groups] == [
        RECEIVED_US,
        1_772_366_000_000_000,
        RECEIVED_US + 2,
        RECEIVED_US + 3,
    ]


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        (b'"yesterday"', Reason.BAD_TIMESTAMP),
        (b'""', Reason.BAD_TIMESTAMP),
        (b'"1772366400"', Reason.BAD_TIMESTAMP),
        (b'"2026-03-01"', Reason.BAD_TIMESTAMP),
        (b'"2026-03-01T12:00:00"', Reason.BAD_TIMESTAMP),
        (b'"2026-02-30T12:00:00Z"', Reason.BAD_TIMESTAMP),
        (b'"2026-03-01T11:59:60Z"', Reason.BAD_TIMESTAMP),
        (b"true", Reason.BAD_TIMESTAMP),
        (b"[]", Reason.BAD_TIMESTAMP),
        (b"{}", Reason.BAD_TIMESTAMP),
        (b"0", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"-1", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"1e300", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"1e999", Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"9" * 19, Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"9" * 4000, Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"9" * 200_000, Reason.TIMESTAMP_OUT_OF_RANGE),
        (b'"0001-01-01T00:00:00+14:00"', Reason.TIMESTAMP_OUT_OF_RANGE),
        (b'"9999-12-31T23:59:59.999999Z"', Reason.TIMESTAMP_OUT_OF_RANGE),
        (b'"2026-03-01T13:00:00.000001Z"', Reason.TIMESTAMP_OUT_OF_RANGE),
        (b"NaN", Reason.MALFORMED),
    ],
)
@pytest.mark.parametrize("frame", [b"%s", b"[%s]", b'{"readings": [{"metrics": {}}, %s]}'])
def test_a_bad_timestamp_is_refused_with_the_reason(
    frame: bytes, ts: bytes, reason: Reason
) -> None:
    payload = frame % (b'{"ts": %s, "metrics": {"a": 1}}' % ts)
    found, detail = refusal(ENVELOPE, payload)
    assert found is reason, detail


def test_the_bounds_of_time_are_the_routes_own() -> None:
    payload = b'{"ts": "2020-01-01T00:00:00Z", "metrics": {"a": 1}}'
    archive = Route(topic="{tenant}/{device}", time=TimeBounds(past_seconds=10 * 366 * 86_400))

    assert refusal(ENVELOPE, payload)[0] is Reason.TIMESTAMP_OUT_OF_RANGE
    assert decode(archive, payload)[0].ts_us == 1_577_836_800_000_000


def test_a_batch_may_carry_the_timestamp_of_those_that_have_none() -> None:
    payload = b"""{"ts": 1772366000, "readings": [
        {"metrics": {"a": 1}}, {"ts": 1772366001, "metrics": {"a": 2}}
    ]}"""

    assert [group.ts_us for group in decode(ENVELOPE, payload)] == [
        1_772_366_000_000_000,
        1_772_366_001_000_000,
    ]


@pytest.mark.parametrize("payload", [b"[]", b'{"readings": []}', b'{"metrics": {}}'])
def test_a_message_may_carry_no_readings(payload: bytes) -> None:
    assert sum(len(group.metrics) for group in decode(ENVELOPE, payload)) == 0


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"{}", "no `metrics`"),
        (b'{"temperature": 21.5}', "no `metrics`"),
        (b'{"metrics": null}', "$.metrics"),
        (b'{"metrics": [1]}', "$.metrics"),
        (b'{"metrics": 1}', "$.metrics"),
        (b'{"metrics": {}, "readings": []}', "both `metrics` and `readings`"),
        (b'{"readings": {}}', "$.readings"),
        (b'{"readings": null}', "$.readings"),
        (b'{"readings": [{}]}', "no `metrics`"),
        (b'{"readings": [{"readings": []}]}', "no `metrics`"),
        (b"[{}]", "no `metrics`"),
        (b"[1]", "$[0]"),
        (b"21.5", "object"),
        (b"null", "object"),
        (b'{"metrics": {}, "seq": -1}', "$.seq"),
        (b'{"metrics": {}, "seq": 1.5}', "$.seq"),
        (b'{"metrics": {}, "seq": %s}' % (b"9" * 5000), "$.seq"),
        (b'{"metrics": {}, "tenant": 1}', "$.tenant"),
        (b'{"metrics": {}, "device": []}', "$.device"),
    ],
)
def test_json_of_another_shape_is_malformed(payload: bytes, told: str) -> None:
    reason, detail = refusal(ENVELOPE, payload)
    assert reason is Reason.MALFORMED
    assert told in detail


@pytest.mark.parametrize(
    "sample",
    [
        b"{}",
        b"[1]",
        b'{"value": [1]}',
        b'{"value": {"value": 1}}',
        b'{"value": 1e999}',
        b'{"value": 1, "quality": 32768}',
        b'{"value": 1, "quality": -1}',
        b'{"value": 1, "quality": 1.5}',
        b'{"value": 1, "quality": null}',
        b'{"value": 1, "unit": 1}',
        b'{"value": 1, "unit": "%s"}' % (b"x" * 65),
        b'{"value": 1, "unit": "\\u0000"}',
        b'{"value": "\\u0000"}',
        b'{"value": "%s"}' % (b"x" * 8193),
    ],
)
def test_a_bad_sample_refuses_the_whole_message(sample: bytes) -> None:
    assert refusal(ENVELOPE, b'{"metrics": {"good": 1, "a": %s}}' % sample)[0] is Reason.BAD_VALUE
    batch = b'[{"metrics": {"good": 1}}, {"metrics": {"a": %s}}]' % sample
    assert refusal(ENVELOPE, batch)[0] is Reason.BAD_VALUE


@pytest.mark.parametrize(
    "frame",
    [
        b'{"metrics": {}, %s}',
        b'[{"metrics": {}}, {"metrics": {}, %s}]',
        b'{"readings": [{"metrics": {}, %s}]}',
        b'{"readings": [], %s}',
    ],
)
def test_a_payload_may_not_claim_another_sender(frame: bytes) -> None:
    assert decode(ENVELOPE, frame % b'"tenant": "acme", "device": "pump-7"') is not None
    assert decode(ENVELOPE, frame % b'"tenant": null, "device": null') is not None
    assert refusal(ENVELOPE, frame % b'"tenant": "Acme"')[0] is Reason.TENANT_MISMATCH
    assert refusal(ENVELOPE, frame % b'"device": "pump-8"')[0] is Reason.DEVICE_MISMATCH
    assert refusal(ENVELOPE, frame % b'"tenant": "x", "device": "x"')[0] is Reason.TENANT_MISMATCH
    assert refusal(ENVELOPE, frame % b'"device": "\\u0000"')[0] is Reason.DEVICE_MISMATCH


def test_all_readings_of_a_message_count_against_the_limit() -> None:
    limits = Limits(metrics=3)
    three, four = b'"a": 1, "b": null, "c": 3', b'"a": 1, "b": null, "c": 3, "d": 4'

    assert decode(ENVELOPE, b'{"metrics": {%s}}' % three, limits)
    assert refusal(ENVELOPE, b'{"metrics": {%s}}' % four, limits)[0] is Reason.TOO_MANY_METRICS
    assert decode(ENVELOPE, b'[{"metrics": {%s}}, {"metrics": {}}]' % three, limits)
    batch = b'[{"metrics": {%s}}, {"metrics": {"a": 1}}]' % three
    assert refusal(ENVELOPE, batch, limits)[0] is Reason.TOO_MANY_METRICS


def test_the_last_of_duplicate_keys_wins() -> None:
    (readings,) = decode(ENVELOPE, b'{"metrics": {"x": 0}, "metrics": {"a": 1, "a": 2}}')
    assert readings.metrics == {"a": 2.0}


def test_unknown_members_are_ignored_unless_they_nest_too_deep_for_the_parser() -> None:
    payload = b'{"metrics": {"a": 1}, "vendor": %s}'
    nested = b"[" * 100 + b'"\xff"' + b"]" * 100

    assert decode(ENVELOPE, payload % nested)[0].metrics == {"a": 1.0}
    assert refusal(ENVELOPE, payload % (b"[" * 100_000))[0] is Reason.TOO_DEEP


def test_the_order_of_members_does_not_matter() -> None:
    payload = b'  {"seq": 3, "metrics": {"a": 1}, "ts": 1772366400}\r\n'
    assert decode(ENVELOPE, payload) == [Readings(RECEIVED_US, {"a": 1.0})]
