"""Who publishes what: a group of like devices, and all that decides their messages.

A fleet is homogeneous: one type of device, one shape of payload, one way of keeping time. Variety
comes from several fleets in one run, each with a seed of its own. Everything that a fleet sends is
a function of these fields; `numbering` says which message is sent when, `timing` what time its
readings have, `devices` and `signals` what they say, `shapes` how that is written.

Devices are numbered from 0. Tenants take turns in that numbering, and so do the sites of a tenant.
A *lane* is one MQTT connection: device d publishes over lane d mod `lanes`, so as many lanes as
devices is a connection for each. Names carry the seed, so rows of this run are known among others.
"""

from typing import Annotated, Any, NamedTuple, Self

import msgspec
from msgspec import Meta

from penstock_simulator.clocks import Clock, grain_us
from penstock_simulator.devices import DeviceType, Metric, stem_of
from penstock_simulator.reported import UNTIMED, Shape, reported_metrics
from penstock_simulator.signals import Numbers

__all__ = ["TELEMETRY", "AbuseWeights", "Count", "Fleet", "Numbers", "Series", "Shape", "step_for"]

Count = Annotated[int, Meta(ge=1)]
Weight = Annotated[int, Meta(ge=0)]
Every = Annotated[int, Meta(ge=0)]
"""One of so many; 0 for none, and never 1."""

TELEMETRY = "devices/{tenant}/{device}/telemetry"
_UNLIMITED_RATE = 100_000.0
"""Messages a second by which timestamps advance when the run has no rate of its own."""
_ROUNDING = 1e-6


class Series(NamedTuple):
    """The names of one series."""

    tenant: str
    device: str
    metric: str


class AbuseWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often each kind of abuse comes, in proportion to the others; see `abuse`."""

    malformed: Weight = 1
    oversized: Weight = 1
    hostile: Weight = 1
    """Names that no device should have."""
    spoofed: Weight = 1
    """Tenants and devices that are not the sender; only where the payload can name them."""
    flood: Weight = 1
    """Each message on a topic of its own."""


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that decides what a run publishes; a ledger carries it to the verifier.

    Raises:
        ValueError: fields contradict each other; the text says how.
    """

    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    start_us: int
    step_us: Count
    """Time between two readings of one device; see `at_rate`."""
    type: DeviceType = "environment"
    tenants: Count = 3
    tenant_stem: str = "plant"
    """What tenants are called; the number of each and a tag follow."""
    tenant_tag: str = ""
    """The tag of the tenants' names; the fleet's own when it is empty. Fleets of one run that have
    it and `tenant_stem` in common have their tenants in common. It must be no fleet's own tag."""
    sites: Annotated[int, Meta(ge=0)] = 0
    """Sites of each tenant, which become part of the devices' names; 0 for none."""
    devices: Count = 40
    """Devices of each tenant."""
    metrics: Annotated[int, Meta(ge=0, le=1_000)] = 0
    """How many of the type's metrics each device measures, and nameless ones beyond; 0 for all."""
    lanes: Count = 4
    shape: Shape = "envelope"
    batch: Annotated[int, Meta(ge=1, le=1_000)] = 1
    """Readings of each device in a message, for the shapes `list` and `readings`."""
    clock: Clock = "us"
    timestamp_path: str = "last_seen"
    """Where the time is in a payload of the shape `flat`."""
    jitter_us: Annotated[int, Meta(ge=0)] = 0
    """How much later than its nominal time a reading may be taken; less than `step_us`."""
    skew_us: Annotated[int, Meta(ge=0)] = 0
    """How wrong the clock of a device may be, either way; the same for as long as it runs."""
    late_every: Every = 0
    """One of so many messages of a device is late: the rest of so many go before it."""
    repeat_every: Every = 0
    """One of so many well-formed messages is one of the others again, under a new packet id. Where
    readings carry no time, both are stored."""
    malformed_every: Every = 0
    """One of so many messages is abuse."""
    abuse: AbuseWeights = AbuseWeights()
    topic: str = TELEMETRY
    """A template with {tenant}, {device}, {site} if there are any, and {metric} where the shape is
    `scalar` or `quoted`."""
    qos: Annotated[int, Meta(ge=0, le=1)] = 1

    def __post_init__(self) -> None:
        if self.malformed_every == 1:
            raise ValueError("at most every second message can be malformed")
        if 1 in (self.late_every, self.repeat_every):
            raise ValueError("at most every second message can be late or a repetition")
        if self.lanes > self.size:
            raise ValueError(f"{self.size} devices cannot publish over {self.lanes} connections")
        if self.step_us % grain_us(self.clock):
            raise ValueError(f"a clock that counts {self.clock} cannot step by {self.step_us} µs")
        if self.jitter_us >= self.step_us:
            raise ValueError("readings can jitter by less than the time between two of them")
        if self.batch > 1 and self.shape not in ("list", "readings"):
            raise ValueError(f"a payload of the shape {self.shape} holds one reading")
        if ("{metric}" in self.topic) != self.untimed:
            raise ValueError("{metric} is in the topic of the shapes scalar and quoted alone")
        if "{site}" in self.topic and not self.sites:
            raise ValueError("{site} is in the topic, but there are no sites")

    @classmethod
    def at_rate(cls, rate: float, **fields: Any) -> Self:
        """A fleet whose readings are as far apart as `rate` messages/s in all make them.

        `fields` are all but `step_us`; a jitter beyond the step is cut to it.
        """
        fleet = cls(**{**fields, "step_us": 1 << 40, "clock": "us", "jitter_us": 0})
        clock = fields.get("clock", "us")
        step_us = step_for(
            rate,
            size=fleet.size,
            malformed_every=fleet.malformed_every,
            repeat_every=fleet.repeat_every,
            readings=fleet.batch / fleet.variants,
            grain=grain_us(clock),
        )
        jitter_us = min(fields.get("jitter_us", 0), step_us - 1)
        return cls(**{**fields, "step_us": step_us, "jitter_us": jitter_us})

    @property
    def tag(self) -> str:
        """What every name of this run ends with."""
        return f"{self.seed:08x}"

    @property
    def size(self) -> int:
        """Devices in all."""
        return self.tenants * self.devices

    @property
    def untimed(self) -> bool:
        """Whether readings carry no time; they carry their sequence number in the value instead."""
        return self.shape in UNTIMED

    @property
    def reported(self) -> tuple[Metric, ...]:
        """What every device reports, in the order of the payload."""
        return reported_metrics(self.type, self.metrics, self.shape)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of what every device reports."""
        return tuple(metric.name for metric in self.reported)

    @property
    def variants(self) -> int:
        """How many messages it takes to say all of one reading."""
        return len(self.reported) if self.untimed else 1

    @property
    def values_per_message(self) -> int:
        """Values in each well-formed message."""
        return 1 if self.untimed else self.batch * len(self.reported)

    @property
    def route(self) -> dict[str, Any]:
        """The route that a Penstock needs for this fleet, as its configuration has it."""
        route: dict[str, Any] = {"topic": self.topic.replace("{site}", "+")}
        if self.untimed:
            route["format"] = "scalar"
        elif self.shape == "flat":
            route |= {"format": "flat", "timestamp_path": self.timestamp_path}
        return route

    def tenant(self, number: int) -> str:
        """The tenant of device `number`."""
        width, tag = len(str(self.tenants)), self.tenant_tag or self.tag
        return f"{self.tenant_stem}-{number % self.tenants + 1:0{width}}-{tag}"

    def site(self, number: int) -> str:
        """The site of device `number`; empty when there are none."""
        if not self.sites:
            return ""
        return f"hall-{number // self.tenants % self.sites + 1:0{len(str(self.sites))}}"

    def device(self, number: int) -> str:
        """The name of device `number`."""
        name = f"{stem_of(self.type)}-{number + 1:0{len(str(self.size))}}-{self.tag}"
        return f"{self.site(number)}-{name}" if self.sites else name

    def topic_of(self, number: int, variant: int = 0) -> str:
        """Where device `number` publishes; each metric has a variant where the topic names it."""
        names = {
            "{tenant}": self.tenant(number),
            "{device}": self.device(number),
            "{site}": self.site(number),
            "{metric}": self.metric_names[variant] if self.untimed else "",
        }
        topic = self.topic
        for placeholder, name in names.items():
            topic = topic.replace(placeholder, name)
        return topic


def step_for(
    rate: float,
    *,
    size: int,
    malformed_every: int,
    repeat_every: int = 0,
    readings: float = 1,
    grain: int = 1,
) -> int:
    """Microseconds between two readings of one of `size` devices, at `rate` messages/s in all.

    A rate of 0 is unlimited. `readings` are those in a message; the step is a multiple of `grain`,
    and rather too short than too long, lest timestamps run ahead of the time.

    Raises:
        ValueError: readings follow each other faster than a clock of that grain can tell.
    """
    rate = rate or _UNLIMITED_RATE
    for every in (malformed_every, repeat_every):
        if every:
            rate *= 1 - 1 / every
    grains = int(size * 1_000_000 / rate / readings / grain + _ROUNDING)
    if not grains and grain > 1:
        raise ValueError(f"at that rate, a clock that counts {grain} µs stands still")
    return max(1, grains) * grain
