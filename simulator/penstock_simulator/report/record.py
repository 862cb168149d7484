"""The record of a run, which its JSON file holds as it is.

Columns that belong together are of one length. What is not known is None, or an empty column. The
format number changes when a field changes its meaning or goes; new fields may come without that.
"""

from typing import Any, Literal

import msgspec

from penstock_simulator.account import Account
from penstock_simulator.knee import Climb
from penstock_simulator.percentiles import Percentiles
from penstock_simulator.sampling import Column, Samples


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator ran on."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    load: float
    """Mean load of the minute before the report was written, the run's own included."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a run, such as a server that was stopped."""

    at_seconds: float
    """Since the run began."""
    text: str
    until_seconds: float | None = None
    """When it was over; None for what happened in a moment."""


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """From the moment a message was due to be sent, however late it was, in ms."""

    acknowledged: Percentiles
    """Until its PUBACK was read; nothing at QoS 0."""
    committed: Percentiles
    """Until the transaction that stored it was committed; nothing without commit timestamps."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The whole distribution of the latencies; see `Latencies`."""

    shares: list[float]
    """Of the messages, from 0 to 1."""
    acknowledged_ms: list[float] = []
    """What so many stayed within."""
    committed_ms: list[float] = []


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in each second of the run.

    Latencies are those of the messages that were due in the second.
    """

    at_seconds: list[float]
    """The end of each second, since the run began."""
    published: list[int]
    """Messages handed to the broker; one that MQTT sent again counts once."""
    acknowledged: list[int] = []
    committed: list[int] = []
    """Well-formed messages that were stored: the others become dead letters."""
    acknowledged_p50_ms: Column = []
    acknowledged_p99_ms: Column = []
    committed_p50_ms: Column = []
    committed_p99_ms: Column = []


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """How hard the simulator had to work."""

    cpu_share: float
    """Of one core."""
    late_share: float
    """Share of the run in which it did not look at its schedule."""
    limits: bool
    """Whether the run says as much about the simulator as about what it loaded."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A homogeneous part of the load."""

    name: str
    fleet: dict[str, Any]
    """All that decides what was sent; the fields of `Fleet`."""
    published: int
    """Messages."""
    acknowledged: int
    latencies: Latencies
    account: Account | None
    """None where no database was judged."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a run."""

    format: Literal[1] = 1
    scenario: str
    story: str
    """What the scenario is about, for people."""
    command: str
    """The command line, without passwords."""
    seed: int
    began_at: str | None
    """When the first message was sent: ISO 8601, UTC; None when none was."""
    seconds: float
    """From the first message sent to the last one sent."""
    account: Account | None
    """Of all groups together."""
    published: int
    """Messages."""
    acknowledged: int
    latencies: Latencies
    curve: Curve
    timeline: Timeline
    samples: Samples
    workload: Workload | None
    groups: list[Group]
    events: list[Event] = []
    ramp: Climb | None = None
    """How a ramp went; None for a run that was none."""
    machine: Machine
    versions: dict[str, str]
