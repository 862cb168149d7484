import asyncio
import json
from typing import NamedTuple

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.interpretation import Interpreter, Reading
from penstock.decode import make_decoder
from penstock.errors import Reason, Rejected
from penstock.model import Batch
from penstock.observability.metrics import SealCause
from penstock.observability.sampling import SampledLog
from penstock.pipeline.devices import TopicCache
from penstock.pipeline.intake import Intake, Sealed
from penstock.settings.tree import Registry, Route, Settings
from penstock.topics import Router
from tests.support.clocks import ManualClock

NOW_US = 1_790_000_000_000_000

SETTINGS = Settings(
    routes=(
        Route(topic="e/{tenant}/{device}"),
        Route(topic="f/{tenant}/{device}", format="flat", timestamp_path="at"),
        Route(topic="s/{tenant}/{device}/{metric}", format="scalar"),
    )
)


def read(topic: str, payload: str, settings: Settings = SETTINGS) -> list[Reading]:
    return list(Interpreter(settings).read(topic, payload.encode(), NOW_US).readings())


def test_an_envelope_is_read_with_quality_and_unit() -> None:
    payload = {
        "ts": 1_789_999_999,
        "metrics": {"t": {"value": 21.5, "unit": "°C", "quality": 0}, "on": True, "mode": "auto"},
    }
    ts_us = 1_789_999_999_000_000
    assert read("e/acme/pump", json.dumps(payload)) == [
        Reading(ts_us, "t", 21.5, 0, "°C"),
        Reading(ts_us, "on", 1.0, 192, None),
        Reading(ts_us, "mode", "auto", None, None),
    ]


def test_a_null_is_no_reading() -> None:
    assert read("e/acme/pump", '{"metrics": {"t": null, "u": {"value": null}}}') == []


def test_a_refusal_has_the_reason_of_the_dead_letter() -> None:
    with pytest.raises(Rejected) as refusal:
        read("e/acme/pump", '{"metrics": {"a/b": 1}}')
    assert refusal.value.reason is Reason.BAD_NAME


def test_a_device_that_is_not_admitted_is_refused() -> None:
    interpreter = Interpreter(SETTINGS, lambda _tenant, device: device == "pump")
    interpreter.read("e/acme/pump", b'{"metrics": {}}', NOW_US)
    with pytest.raises(Rejected) as refusal:
        interpreter.read("e/acme/fan", b'{"metrics": {}}', NOW_US)
    assert refusal.value.reason is Reason.UNREGISTERED_DEVICE


def test_an_admitted_reading_is_beyond_the_bounds_of_every_route() -> None:
    payload = b'{"ts": "1971-01-01T00:00:00Z", "metrics": {"t": 1}}'
    reading = Interpreter(SETTINGS).read_admitted("acme", "pump", payload, NOW_US)
    assert [found.ts_us for found in reading.readings()] == [31_536_000_000_000]


def test_a_reading_and_a_message_of_one_device_share_their_series() -> None:
    interpreter = Interpreter(SETTINGS)
    interpreter.read("e/acme/pump", b'{"metrics": {"t": 1}}', NOW_US)
    interpreter.read_admitted("acme", "pump", b'{"metrics": {"t": 2}}', NOW_US)
    assert len(interpreter.index) == 1


def test_room_is_made_when_as_many_series_are_known_as_may_be() -> None:
    interpreter = Interpreter(Settings(routes=SETTINGS.routes, registry=Registry(max_series=1000)))
    for number in range(1000):
        interpreter.make_room()
        interpreter.read(f"s/acme/pump/m{number}", b"1", NOW_US)
    assert len(interpreter.index) == 1000
    interpreter.make_room()
    assert len(interpreter.index) == 0


Verdict = tuple[list[tuple[Reason, str]], list[tuple[str, int, float | str]]]


class Publish(NamedTuple):
    topic: str
    payload: bytes
    packet_id: int | None = None
    correlation_data: bytes | None = None


async def in_the_daemon(message: Publish) -> Batch:
    cache = TopicCache(
        Router(SETTINGS.routes, SETTINGS.limits),
        [make_decoder(route, SETTINGS.limits) for route in SETTINGS.routes],
        lambda _tenant, _device: True,
        max_entries=1000,
    )
    sealed: list[Sealed] = []
    clock = ManualClock(NOW_US)
    intake = Intake(
        cache,
        sealed.append,
        clock,
        SampledLog(structlog.get_logger(), clock),
        batch_rows=1_000_000,
        batch_bytes=1_000_000_000,
        flush_interval_seconds=1000,
        dead_letter_bytes=1_000_000,
    )
    intake.connected(1)
    intake.accept([message])
    intake.seal(SealCause.STOP)
    return sealed[0].batch


def verdict(topic: str, payload: bytes) -> Verdict:
    try:
        interpretation = Interpreter(SETTINGS).read(topic, payload, NOW_US)
    except Rejected as refusal:
        return [(refusal.reason, refusal.detail)], []
    found = [(one.metric, one.ts_us, one.value) for one in interpretation.readings()]
    return [], sorted(found, key=repr)


def readings_in(batch: Batch) -> list[tuple[str, int, float | str]]:
    keys, numbers, texts = batch.index.keys, batch.numbers, batch.texts
    found: list[tuple[str, int, float | str]] = [
        (keys[series].metric, int(ts_us), float(value))
        for series, ts_us, value in zip(numbers.series, numbers.ts_us, numbers.value, strict=True)
    ]
    found += [
        (keys[series].metric, int(ts_us), value)
        for series, ts_us, value in zip(texts.series, texts.ts_us, texts.value, strict=True)
    ]
    return sorted(found, key=repr)


NAMES = st.sampled_from(["t", "u", "a.b", "", "a/b", "x" * 129, "\x00"])
VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3)
METRICS = st.dictionaries(NAMES, VALUES | st.fixed_dictionaries({"value": VALUES}), max_size=3)
TIMES = st.none() | st.sampled_from([1_790_000_000, "2026-09-21T13:46:40Z", 5, "soon"])
PAYLOADS = st.one_of(
    st.binary(max_size=10),
    st.fixed_dictionaries({"metrics": METRICS}, optional={"ts": TIMES}).map(json.dumps),
    METRICS.map(json.dumps),
    VALUES.map(json.dumps),
).map(lambda payload: payload.encode() if isinstance(payload, str) else payload)
TOPICS = st.sampled_from(["e/acme/pump", "f/acme/pump", "s/acme/pump/t", "e/acme/", "x", "s/a/b/"])


@given(TOPICS, PAYLOADS)
def test_the_verdict_is_that_of_the_daemon(topic: str, payload: bytes) -> None:
    batch = asyncio.run(in_the_daemon(Publish(topic, payload)))
    refusals = [(letter.reason, letter.detail) for letter in batch.dead_letters]
    assert verdict(topic, payload) == (refusals, readings_in(batch))
