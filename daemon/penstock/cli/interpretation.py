"""Reads messages as the daemon's intake does, and stores nothing.

What always holds: the topic, the payload, the names and the bounds are judged by the very code that
judges them in the daemon, so that what is said here of a message is what would happen to it there.
Only whether a device is registered is for the caller to know.
"""

from collections.abc import Iterator, Sequence

import msgspec

from penstock.decode import make_decoder, make_decoders
from penstock.model import Origin, Readings, Sample, SeriesIndex
from penstock.pipeline.devices import Admission, Device, TopicCache
from penstock.settings.tree import Route, Settings, TimeBounds
from penstock.topics import Router

_TEN_THOUSAND_YEARS_SECONDS = 10_000 * 366 * 86_400

_ADMITTED_READING = Route(
    topic="-",
    time=TimeBounds(
        future_seconds=_TEN_THOUSAND_YEARS_SECONDS, past_seconds=_TEN_THOUSAND_YEARS_SECONDS
    ),
)
"""Stands for the route of a reading that was within the bounds of its own when it came."""


class Reading(msgspec.Struct, frozen=True):
    """One reading as it would be stored."""

    ts_us: int
    metric: str
    value: float | str
    quality: int | None
    """`None` for a string, which is stored without one."""
    unit: str | None


class Interpretation(msgspec.Struct, frozen=True):
    """What a message says."""

    device: Device
    groups: Sequence[Readings]

    def readings(self) -> Iterator[Reading]:
        """The readings one by one; a metric that is null is none."""
        for group in self.groups:
            for metric, value in group.metrics.items():
                sample = value if isinstance(value, Sample) else Sample(value)
                match sample.value:
                    case None:
                        pass
                    case str(text):
                        yield Reading(group.ts_us, metric, text, None, sample.unit)
                    case number:
                        quality = sample.quality
                        yield Reading(group.ts_us, metric, float(number), quality, sample.unit)


def anyone(_tenant: str, _device: str) -> bool:
    """Admits every device, as the daemon does while `registry.auto_register` is on."""
    return True


class Interpreter:
    """Routes and decodes under one configuration.

    Errors: `ConfigError` that names every fault of the routes.
    """

    def __init__(self, settings: Settings, admitted: Admission = anyone) -> None:
        self._topics = TopicCache(
            Router(settings.routes, settings.limits),
            make_decoders(settings.routes, settings.limits),
            admitted,
            max_entries=settings.registry.max_series,
        )
        self._decode_admitted = make_decoder(_ADMITTED_READING, settings.limits)

    @property
    def index(self) -> SeriesIndex:
        """The series of all that was read since `make_room` last started anew."""
        return self._topics.index

    def make_room(self) -> None:
        """Start anew when as many topics, devices or series are known as may be.

        For whoever reads without end, between messages.
        """
        if self._topics.full:
            self._topics.renew()

    def origin(self, topic: str) -> Origin | None:
        """Where messages of a topic come from, as far as the routes can tell."""
        return self._topics.origin(topic)

    def read(self, topic: str, payload: bytes, received_us: int) -> Interpretation:
        """What the daemon would make of a message that it received at `received_us`.

        Errors: `Rejected` with the reason that the dead letter would have.
        """
        known = self._topics.get(topic) or self._topics.resolve(topic)
        return _numbered(known.device, known.decode(payload, known.origin, received_us))

    def read_admitted(
        self, tenant: str, device: str, payload: bytes, received_us: int
    ) -> Interpretation:
        """Read a single reading again, an envelope, that the database had refused.

        Errors: `Rejected` with the reason that the dead letter would have.
        """
        origin = Origin(-1, tenant, device)
        known_device = self._topics.device(tenant, device)
        return _numbered(known_device, self._decode_admitted(payload, origin, received_us))


def _numbered(device: Device, groups: Sequence[Readings]) -> Interpretation:
    """Number the series as a batch would, which is where the names of metrics are judged."""
    interpretation = Interpretation(device, groups)
    for reading in interpretation.readings():
        if reading.metric not in device.series:
            device.add_series(reading.metric, reading.unit)
    return interpretation
