"""One message through a decoder, and what any decoder has promised of the outcome."""

import math

import pytest

from penstock.decode import make_decoder
from penstock.errors import Reason, Rejected
from penstock.model import Origin, Readings, Sample
from penstock.settings.tree import Limits, Route

RECEIVED_US = 1_772_366_400_000_000
"""2026-03-01T12:00:00Z, when every message of these tests is received."""

ORIGIN = Origin(route=0, tenant="acme", device="pump-7", metric="level")

ENVELOPE = Route(topic="{tenant}/{device}")
FLAT = Route(topic="{tenant}/{device}", format="flat")
SCALAR = Route(topic="{tenant}/{device}/{metric}", format="scalar")


def decode(route: Route, payload: bytes, limits: Limits | None = None) -> list[Readings]:
    """Decode as the intake does."""
    return make_decoder(route, limits or Limits())(payload, ORIGIN, RECEIVED_US)


def refusal(route: Route, payload: bytes, limits: Limits | None = None) -> tuple[Reason, str]:
    """Why a payload is refused, having checked that the detail can be stored."""
    with pytest.raises(Rejected) as caught:
        decode(route, payload, limits)
    assert_tellable(caught.value)
    return caught.value.reason, caught.value.detail


def assert_tellable(rejected: Rejected) -> None:
    """The detail of a dead letter is text that the database takes and a person reads."""
    assert rejected.detail
    assert rejected.detail.isprintable()
    assert len(rejected.detail) <= 300


def assert_storable(groups: list[Readings], route: Route, limits: Limits) -> None:
    """What `penstock.model` says of the readings that a decoder yields."""
    assert sum(len(group.metrics) for group in groups) <= limits.metrics
    for group in groups:
        assert type(group.ts_us) is int
        age_us = RECEIVED_US - group.ts_us
        assert (
            -route.time.future_seconds * 1_000_000 <= age_us <= route.time.past_seconds * 1_000_000
        )
        for name, value in group.metrics.items():
            assert isinstance(name, str)
            sample = value if isinstance(value, Sample) else Sample(value)
            assert 0 <= sample.quality <= 32767
            assert_storable_text(sample.unit or "", 4 * 64)
            if isinstance(sample.value, str):
                assert_storable_text(sample.value, limits.text_bytes)
            elif sample.value is not None:
                assert type(sample.value) in (bool, float)
                assert math.isfinite(sample.value)


def assert_storable_text(text: str, max_bytes: int) -> None:
    """PostgreSQL takes any UTF-8 without NUL."""
    assert len(text.encode()) <= max_bytes
    assert "\0" not in text
