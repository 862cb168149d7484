"""The intake turns messages into batches and loses none of them."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from penstock.decode import make_decoder
from penstock.errors import Reason
from penstock.model import Message
from penstock.observability.metrics import SealCause
from penstock.observability.sampling import SampledLog
from penstock.pipeline.devices import TopicCache
from penstock.pipeline.intake import Intake, Sealed
from penstock.settings.tree import Limits, Route
from penstock.topics import Router

NOW_US = 1_790_000_000_000_000


class Publish(msgspec.Struct, frozen=True):
    """A message as a source would hand it on."""

    topic: str
    payload: bytes
    packet_id: int | None = None
    correlation_data: bytes | None = None


class FixedClock:
    """A clock that goes only when it is set."""

    us = NOW_US

    def now_us(self) -> int:
        return self.us

    def monotonic_seconds(self) -> float:
        return 0.0


class Bench:
    """An intake and the batches that it sealed."""

    def __init__(
        self,
        *,
        batch_rows: int = 1_000,
        batch_bytes: int = 1_000_000,
        flush_interval_seconds: float = 3_600,
        max_series: int = 1_000,
        registered: Sequence[str] | None = None,
        dead_letter_bytes: int = 1_000,
    ) -> None:
        routes = [
            Route(topic="devices/{tenant}/{device}/telemetry"),
            Route(topic="raw/{tenant}/{device}/{metric}", format="scalar"),
            Route(topic="any/{tenant}/{device}/#"),
        ]
        limits = Limits()
        self.topics = TopicCache(
            Router(routes, limits),
            [make_decoder(route, limits) for route in routes],
            lambda _tenant, device: registered is None or device in registered,
            max_entries=max_series,
        )
        self.sealed: list[Sealed] = []
        self.clock = FixedClock()
        self.intake = Intake(
            self.topics,
            self.sealed.append,
            self.clock,
            SampledLog(structlog.get_logger(), FixedClock()),
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            flush_interval_seconds=flush_interval_seconds,
            dead_letter_bytes=dead_letter_bytes,
        )
        self.intake.connected(1)

    def accept(self, *messages: Message) -> None:
        self.intake.accept(messages)

    @property
    def causes(self) -> list[SealCause]:
        return [sealed.cause for sealed in self.sealed]


def envelope(device: str = "d", value: float = 1.0, **more: object) -> Publish:
    payload = msgspec.json.encode({"metrics": {"m": value}, **more})
    return Publish(f"devices/t/{device}/telemetry", payload)


async def test_a_batch_is_sealed_when_it_has_enough_rows() -> None:
    bench = Bench(batch_rows=2)
    bench.accept(*[envelope(value=float(value)) for value in range(5)])
    assert bench.causes == [SealCause.ROWS, SealCause.ROWS]
    assert [s.batch.numbers.value.tolist() for s in bench.sealed] == [[0.0, 1.0], [2.0, 3.0]]
    assert bench.intake.building_rows == 1


async def test_a_batch_is_sealed_when_it_has_enough_bytes() -> None:
    bench = Bench(batch_bytes=100)
    bench.accept(*[envelope() for _ in range(7)])
    assert set(bench.causes) == {SealCause.BYTES}


async def test_a_batch_is_sealed_when_it_is_old_enough() -> None:
    bench = Bench(flush_interval_seconds=0.001)
    bench.accept(envelope())
    assert bench.sealed == []
    while not bench.sealed:  # noqa: ASYNC110 - the intake has nothing to wait on
        await asyncio.sleep(0.001)
    assert bench.causes == [SealCause.AGE]


async def test_a_batch_belongs_to_one_connection() -> None:
    bench = Bench()
    bench.accept(Publish("devices/t/d/telemetry", b'{"metrics":{"m":1}}', packet_id=7))
    bench.intake.connected(2)
    bench.accept(Publish("devices/t/d/telemetry", b'{"metrics":{"m":1}}', packet_id=7))
    bench.intake.seal(SealCause.STOP)
    assert [(s.connection, list(s.packet_ids)) for s in bench.sealed] == [(1, [7]), (2, [7])]
    assert bench.causes == [SealCause.CONNECTION, SealCause.STOP]


async def test_nothing_is_sealed_when_nothing_came() -> None:
    bench = Bench()
    bench.intake.seal(SealCause.STOP)
    assert bench.sealed == []


async def test_a_bad_message_becomes_a_dead_letter_and_harms_no_other() -> None:
    bench = Bench()
    bad = Publish("devices/t/d/telemetry", b'{"metrics":{"m":[1]}}', 2, b"order-66")
    bench.accept(envelope(value=1.0), bad, envelope(value=3.0))
    bench.intake.seal(SealCause.STOP)
    (sealed,) = bench.sealed
    assert sealed.batch.numbers.value.tolist() == [1.0, 3.0]
    (letter,) = sealed.batch.dead_letters
    assert (letter.reason, letter.topic, letter.payload) == (
        Reason.BAD_VALUE,
        bad.topic,
        bad.payload,
    )
    assert (letter.tenant, letter.device, letter.correlation_id) == ("t", "d", "order-66")
    assert list(sealed.packet_ids) == [2], "a dead-lettered message is acknowledged like any other"


@pytest.mark.parametrize(
    ("topic", "reason"),
    [("nobody/takes/this", Reason.UNKNOWN_ROUTE), ("devices/t/\x07/telemetry", Reason.BAD_TOPIC)],
)
async def test_a_topic_that_cannot_be_routed_is_a_dead_letter(topic: str, reason: Reason) -> None:
    bench = Bench()
    bench.accept(Publish(topic, b"{}"))
    bench.intake.seal(SealCause.STOP)
    (letter,) = bench.sealed[0].batch.dead_letters
    assert (letter.reason, letter.tenant) == (reason, None)


async def test_a_bad_metric_name_refuses_the_whole_message() -> None:
    bench = Bench()
    bench.accept(Publish("devices/t/d/telemetry", b'{"metrics":{"ok":1,"a#b":2}}'))
    bench.intake.seal(SealCause.STOP)
    (sealed,) = bench.sealed
    assert [letter.reason for letter in sealed.batch.dead_letters] == [Reason.BAD_NAME]
    assert sealed.batch.readings == 0


async def test_an_unregistered_device_is_refused_with_its_raw_payload() -> None:
    bench = Bench(registered=["known"])
    stranger = envelope("stranger")
    bench.accept(envelope("known"), stranger)
    bench.intake.seal(SealCause.STOP)
    (sealed,) = bench.sealed
    (letter,) = sealed.batch.dead_letters
    assert (letter.reason, letter.payload) == (Reason.UNREGISTERED_DEVICE, stranger.payload)
    assert (letter.tenant, letter.device) == ("t", "stranger")
    assert sealed.batch.readings == 1


async def test_a_device_registered_later_is_admitted_at_once() -> None:
    registered: list[str] = []
    bench = Bench(registered=registered)
    bench.accept(envelope("late"))
    registered.append("late")
    bench.accept(envelope("late"))
    bench.intake.seal(SealCause.STOP)
    assert bench.sealed[0].batch.readings == 1


async def test_a_device_that_is_registered_no_more_is_refused_when_topics_are_forgotten() -> None:
    registered = ["leaver", "stayer"]
    bench = Bench(registered=registered)
    bench.accept(envelope("stayer"), envelope("leaver"))
    registered.remove("leaver")
    bench.topics.forget_topics()
    bench.accept(envelope("stayer"), envelope("leaver"))
    bench.intake.seal(SealCause.STOP)
    (batch,) = (sealed.batch for sealed in bench.sealed)
    assert [letter.reason for letter in batch.dead_letters] == [Reason.UNREGISTERED_DEVICE]
    assert batch.numbers.series.tolist() == [0, 1, 0], "series keep their numbers"


async def test_topics_of_dead_letters_count_against_the_bytes_of_a_batch() -> None:
    bench = Bench(batch_bytes=100_000)
    bench.accept(*[Publish(f"devices/{'x' * 50_000}/d/telemetry", b"{}") for _ in range(4)])
    assert bench.causes == [SealCause.BYTES, SealCause.BYTES]
    assert all(sealed.batch.size_bytes > 100_000 for sealed in bench.sealed)
    assert [sealed.payload_bytes for sealed in bench.sealed] == [4, 4]


async def test_topics_of_any_length_are_taken_and_only_short_ones_remembered() -> None:
    bench = Bench()
    payload = b'{"metrics":{"m":1}}'
    bench.accept(*[Publish(f"any/t/d/{'x' * length}", payload) for length in (10, 60_000)])
    bench.intake.seal(SealCause.STOP)
    assert bench.sealed[0].batch.readings == 2
    assert len(bench.topics) == 1


async def test_a_long_payload_is_kept_in_part_and_says_so() -> None:
    bench = Bench(dead_letter_bytes=10)
    bench.accept(Publish("devices/t/d/telemetry", b"x" * 50))
    bench.intake.seal(SealCause.STOP)
    (letter,) = bench.sealed[0].batch.dead_letters
    assert letter.payload == b"x" * 10
    assert "first 10 of 50 bytes" in letter.detail


async def test_correlation_data_that_is_no_text_is_kept_in_hex() -> None:
    bench = Bench()
    bench.accept(Publish("devices/t/d/telemetry", b"?", None, b"\xff\x00"))
    bench.intake.seal(SealCause.STOP)
    assert bench.sealed[0].batch.dead_letters[0].correlation_id == "ff00"


@pytest.mark.parametrize("data", [b"x" * 60_000, b"\xff" * 60_000])
async def test_of_long_correlation_data_the_beginning_is_kept(data: bytes) -> None:
    bench = Bench()
    bench.accept(Publish("devices/t/d/telemetry", b"?", None, data))
    bench.intake.seal(SealCause.STOP)
    kept = bench.sealed[0].batch.dead_letters[0].correlation_id
    assert kept in {"x" * 512, "ff" * 256}


async def test_all_topics_of_a_device_share_its_series() -> None:
    bench = Bench()
    bench.accept(envelope("d"), Publish("raw/t/d/m", b"2"))
    bench.intake.seal(SealCause.STOP)
    assert bench.sealed[0].batch.numbers.series.tolist() == [0, 0]


async def test_readings_without_a_timestamp_are_never_stamped_alike() -> None:
    bench = Bench()
    batch = msgspec.json.encode([{"metrics": {"m": value}} for value in range(3)])
    bench.accept(envelope(), Publish("devices/t/d/telemetry", batch), envelope())
    bench.accept(envelope(), envelope())
    bench.intake.seal(SealCause.STOP)
    times = bench.sealed[0].batch.numbers.ts_us.tolist()
    assert times == [NOW_US + position for position in range(7)]


async def test_a_clock_that_is_set_back_is_followed() -> None:
    bench = Bench()
    year_us = 366 * 86_400 * 1_000_000
    bench.clock.us = NOW_US + year_us
    bench.accept(envelope(), envelope())
    bench.clock.us = NOW_US
    bench.accept(envelope(ts=NOW_US / 1e6), envelope(), envelope())
    bench.intake.seal(SealCause.STOP)
    (sealed,) = bench.sealed
    assert sealed.batch.dead_letters == [], "what is timed by a right clock is in range"
    times = (sealed.batch.numbers.ts_us - NOW_US).tolist()
    assert times == [year_us, year_us + 1, 0, 1, 2]


async def test_a_clock_that_goes_back_a_little_stamps_no_two_readings_alike() -> None:
    bench = Bench()
    bench.accept(envelope(), envelope())
    bench.clock.us = NOW_US - 10_000
    bench.accept(envelope())
    bench.intake.seal(SealCause.STOP)
    assert (bench.sealed[0].batch.numbers.ts_us - NOW_US).tolist() == [0, 1, 2]


async def test_full_caches_start_anew_and_earlier_batches_keep_their_index() -> None:
    bench = Bench(max_series=3)
    for device in range(10):
        bench.accept(envelope(f"d{device}", value=float(device)))
    bench.intake.seal(SealCause.STOP)
    assert len(bench.topics.index) <= 3
    stored = [
        (sealed.batch.index.keys[number].device, value)
        for sealed in bench.sealed
        for number, value in zip(
            sealed.batch.numbers.series, sealed.batch.numbers.value.tolist(), strict=True
        )
    ]
    assert stored == [(f"d{device}", float(device)) for device in range(10)]
    assert SealCause.CACHE in bench.causes


async def test_a_bug_in_a_decoder_costs_one_message_not_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()

    def broken(*_: object) -> list[object]:
        raise ZeroDivisionError("oops")

    bench.topics._decoders[1] = broken  # type: ignore[index]
    bench.accept(envelope(), Publish("raw/t/d/m", b"2", packet_id=9))
    bench.intake.seal(SealCause.STOP)
    (sealed,) = bench.sealed
    (letter,) = sealed.batch.dead_letters
    assert (letter.reason, letter.payload) == (Reason.INTERNAL_ERROR, b"2")
    assert "ZeroDivisionError: oops" in letter.detail
    assert list(sealed.packet_ids) == [9]


async def test_no_message_is_blamed_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    bench = Bench()
    monkeypatch.setattr(TopicCache, "resolve", fail)
    with pytest.raises(MemoryError):
        bench.accept(envelope())


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["devices/t/a/telemetry", "devices/t/b/telemetry", "raw/t/a/m", "x"]),
        st.sampled_from([b'{"metrics":{"m":1,"n":2}}', b"5", b"\xff", b'{"metrics":{}}']),
        st.booleans(),
    ),
    max_size=60,
)


@given(chunks=st.lists(MESSAGES, max_size=5), batch_rows=st.integers(1, 20))
async def test_every_packet_is_in_exactly_one_batch_in_the_order_received(
    chunks: list[list[tuple[str, bytes, bool]]], batch_rows: int
) -> None:
    bench = Bench(batch_rows=batch_rows)
    expected, sent = [], 0
    for chunk in chunks:
        messages = []
        for topic, payload, acknowledged in chunk:
            sent += 1
            messages.append(Publish(topic, payload, sent if acknowledged else None))
            if acknowledged:
                expected.append(sent)
        bench.intake.accept(messages)
    bench.intake.seal(SealCause.STOP)
    assert [packet for sealed in bench.sealed for packet in sealed.packet_ids] == expected
    assert sum(sealed.batch.messages for sealed in bench.sealed) == sent
    assert [s.batch.number for s in bench.sealed] == list(range(1, len(bench.sealed) + 1))


async def test_a_message_is_weighed_as_it_would_be_counted() -> None:
    bench = Bench()
    whole = b'{"metrics": {"a": 1, "b": null, "c": {"value": null}, "d": {"value": "text"}}}'
    messages = {
        whole: ("t", 2),
        b'[{"metrics": {"a": 1}}, {"metrics": {"a": 2}}]': ("t", 2),
        b'{"metrics": {}}': ("t", 0),
        b"?": ("t", 1),
    }
    for payload, weight in messages.items():
        assert bench.intake.weigh(Publish("devices/t/d/telemetry", payload)) == weight
    assert bench.intake.weigh(Publish("elsewhere", whole)) == (None, 1)
    assert (bench.intake.building_rows, bench.sealed) == (0, [])
