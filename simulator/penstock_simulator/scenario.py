"""A scenario: a story, the groups of devices that play in it, and what is done to the stack.

A group is a homogeneous `Fleet` with a pace and a life of its own; a scenario is told in the terms
of those who write one, in seconds and messages a second, and this module translates. What groups
have to have in common is derived from the run's seed here too: their tenants' tag, and each
group's own seed.
"""

from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from penstock_simulator.clocks import Clock
from penstock_simulator.devices import DeviceType
from penstock_simulator.disturbance import Disturbance
from penstock_simulator.fleet import TELEMETRY, AbuseWeights, Count, Fleet, Shape
from penstock_simulator.identity import key_of
from penstock_simulator.life import Life, Seconds
from penstock_simulator.pace import Bursts, Pace, Rate, Span, Steady
from penstock_simulator.ramping import Ramping

Name = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9-]{1,40}$", extra={"words": "small letters, digits and hyphens"}),
]
Text = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Every = Annotated[int, Meta(ge=0)]

_SEEDS = 0xFFFFFFFF


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What times readings have, and how regularly and in which order they are sent."""

    clock: Clock = "us"
    jitter_seconds: Seconds = 0.0
    """How much later than its nominal time a reading may be taken."""
    skew_seconds: Seconds = 0.0
    """How wrong a device's clock may be, either way."""
    late_every: Every = 0
    """One of so many messages of a device comes after those that follow it; 0 for none."""
    repeat_every: Every = 0
    """One of so many messages comes again; 0 for none."""
    send_jitter: Share = 0.0
    """Share of the time between two messages of a connection by which one may be sent later."""


class Abuse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must be refused."""

    every: Every = 0
    """One of so many messages; 0 for none."""
    kinds: AbuseWeights = AbuseWeights()


class Bursting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the rate swells at the end of each period; the group's rate is the mean."""

    factor: Annotated[float, Meta(ge=1)]
    burst_seconds: Span
    period_seconds: Span


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Devices that are alike."""

    name: Name
    rate: Rate
    """Messages a second of the whole group."""
    type: DeviceType = "environment"
    tenants: Count = 1
    tenant_stem: Name = "plant"
    """What tenants are called. Groups that have it and the number of tenants in common have their
    tenants in common."""
    sites: Annotated[int, Meta(ge=0)] = 0
    """Of each tenant."""
    devices: Count = 40
    """Of each tenant."""
    metrics: Annotated[int, Meta(ge=0, le=1_000)] = 0
    """Of each device; 0 for all that its type has."""
    shape: Shape = "envelope"
    batch: Annotated[int, Meta(ge=1, le=1_000)] = 1
    """Readings in a message, for the shapes `list` and `readings`."""
    topic: Text = TELEMETRY
    qos: Annotated[int, Meta(ge=0, le=1)] = 1
    connections: Annotated[int, Meta(ge=0)] = 1
    """Over which the devices are spread; 0 for one for each device."""
    timing: Timing = Timing()
    abuse: Abuse = Abuse()
    bursts: Bursting | None = None
    life: Life = Life()

    @property
    def size(self) -> int:
        """Devices in all."""
        return self.tenants * self.devices

    def fleet(self, *, rate: float, seed: int, tenant_tag: str, start_us: int) -> Fleet:
        """The group as a fleet that publishes `rate` messages/s.

        Raises:
            ValueError: its fields contradict each other; the text says how.
        """
        timing = self.timing
        return Fleet.at_rate(
            rate,
            seed=seed,
            start_us=start_us,
            type=self.type,
            tenants=self.tenants,
            tenant_stem=self.tenant_stem,
            tenant_tag=tenant_tag,
            sites=self.sites,
            devices=self.devices,
            metrics=self.metrics,
            lanes=self.connections or self.size,
            shape=self.shape,
            batch=self.batch,
            clock=timing.clock,
            jitter_us=round(timing.jitter_seconds * 1e6),
            skew_us=round(timing.skew_seconds * 1e6),
            late_every=timing.late_every,
            repeat_every=timing.repeat_every,
            malformed_every=self.abuse.every,
            abuse=self.abuse.kinds,
            topic=self.topic,
            qos=self.qos,
        )

    def pace(self, rate: float) -> Pace:
        """When its messages are due, at `rate` messages/s on average.

        Raises:
            ValueError: its bursts are no shorter than their period.
        """
        if self.bursts is None:
            return Steady(rate)
        swell = (self.bursts.factor - 1) * self.bursts.burst_seconds / self.bursts.period_seconds
        return Bursts(
            rate=rate / (1 + swell),
            factor=self.bursts.factor,
            burst_seconds=self.bursts.burst_seconds,
            period_seconds=self.bursts.period_seconds,
        )


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a file says."""

    story: Text
    """One paragraph, for people."""
    duration_seconds: Span = 60.0
    groups: Annotated[tuple[Group, ...], Meta(min_length=1)]
    disturbances: tuple[Disturbance, ...] = ()
    ramp: Ramping | None = None
    """Raise the rate step by step; those of the groups say how they share it."""

    @property
    def level(self) -> Self:
        """The same without what changes the rate or delays messages by itself."""
        groups = tuple(
            msgspec.structs.replace(group, bursts=None, life=Life()) for group in self.groups
        )
        return msgspec.structs.replace(self, groups=groups, disturbances=())

    @property
    def rate(self) -> float:
        """Messages a second of all groups together."""
        return sum(group.rate for group in self.groups)

    @property
    def size(self) -> int:
        """Devices in all."""
        return sum(group.size for group in self.groups)

    def fleets(self, *, scale: float, seed: int, start_us: int) -> list[Fleet]:
        """Every group as a fleet, at `scale` times its rate.

        Raises:
            ValueError: a group cannot be had at that rate; the text names it.
        """
        tag = f"{_seed_of(seed, 'tenants'):08x}"
        fleets = []
        for group in self.groups:
            own = _seed_of(seed, f"group {group.name}")
            try:
                fleets.append(
                    group.fleet(
                        rate=group.rate * scale, seed=own, tenant_tag=tag, start_us=start_us
                    )
                )
            except ValueError as error:
                raise ValueError(f"{group.name}: {error}") from error
        return fleets

    @property
    def routes(self) -> list[dict[str, Any]]:
        """The routes that a Penstock needs for it, each once, as its configuration has them."""
        routes: list[dict[str, Any]] = []
        for fleet in self.fleets(scale=1.0, seed=0, start_us=0):
            if fleet.route not in routes:
                routes.append(fleet.route)
        return routes


def _seed_of(seed: int, what: str) -> int:
    return key_of(seed, what) & _SEEDS
