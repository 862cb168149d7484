"""Who publishes what, and when: the numbering of a run.

A *lane* is one MQTT connection. Its *slots* 0, 1, 2 … are the messages it publishes, in order.
Every `malformed_every`-th slot is a malformed message; the others are *envelopes*, numbered again
without gaps, and go round the lane's devices: envelope g is sequence number g // n of device g
mod n. Device d of the fleet belongs to lane d mod `lanes`.

Sequence number s of a device has the timestamp `start_us + s * step_us + phase`, so the sequence
number can be read back from a stored row. Names carry the run's seed, so rows of this run are
known among others. All of it is arithmetic: nothing here keeps state.
"""

from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from penstock_simulator.signals import metric_names

Count = Annotated[int, Meta(ge=1)]
Numbers = NDArray[np.int64]

TELEMETRY = "devices/{tenant}/{device}/telemetry"
_UNLIMITED_RATE = 100_000.0
"""Messages a second by which timestamps advance when the run has no rate of its own."""


class Series(NamedTuple):
    """The names of one series."""

    tenant: str
    device: str
    metric: str


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that decides what a run publishes; a ledger carries it to the verifier."""

    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    start_us: int
    step_us: Count
    """Time between two readings of one device."""
    tenants: Count = 3
    devices: Count = 40
    """Devices of each tenant."""
    metrics: Annotated[int, Meta(ge=1, le=1_000)] = 3
    lanes: Count = 4
    malformed_every: Annotated[int, Meta(ge=0)] = 0
    """Each so-manieth slot is malformed; 0 for none."""
    topic: str = TELEMETRY
    qos: Annotated[int, Meta(ge=0, le=1)] = 1

    def __post_init__(self) -> None:
        if self.malformed_every == 1:
            raise ValueError("at most every second message can be malformed")
        if self.lanes > self.size:
            raise ValueError(f"{self.size} devices cannot publish over {self.lanes} connections")

    @property
    def tag(self) -> str:
        """What every name of this run ends with."""
        return f"{self.seed:08x}"

    @property
    def size(self) -> int:
        """Devices in all."""
        return self.tenants * self.devices

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics of every device, in the order of the payload."""
        return metric_names(self.metrics)

    def tenant(self, number: int) -> str:
        """The tenant of device `number`."""
        width = len(str(self.tenants))
        return f"plant-{number % self.tenants + 1:0{width}}-{self.tag}"

    def device(self, number: int) -> str:
        """The name of device `number`."""
        width = len(str(self.size))
        return f"sensor-{number + 1:0{width}}-{self.tag}"

    def topic_of(self, number: int) -> str:
        """Where device `number` publishes."""
        names = {"{tenant}": self.tenant(number), "{device}": self.device(number)}
        topic = self.topic
        for placeholder, name in names.items():
            topic = topic.replace(placeholder, name)
        return topic

    def series(self) -> list[Series]:
        """All series, those of a device together and in the order of the payload."""
        return [
            Series(self.tenant(number), self.device(number), metric)
            for number in range(self.size)
            for metric in self.metric_names
        ]

    def lane_devices(self, lane: int) -> Numbers:
        """The devices of a lane, in the order in which they publish."""
        return np.arange(lane, self.size, self.lanes, dtype=np.int64)

    def is_malformed(self, slots: Numbers) -> NDArray[np.bool_]:
        """Which of a lane's slots hold malformed messages."""
        if self.malformed_every == 0:
            return np.zeros(slots.shape, dtype=np.bool_)
        malformed: NDArray[np.bool_] = slots % self.malformed_every == self.malformed_every - 1
        return malformed

    def malformed_before(self, slots: Numbers) -> Numbers:
        """How many slots before each of `slots` hold malformed messages."""
        if self.malformed_every == 0:
            return np.zeros_like(slots)
        return slots // self.malformed_every

    def envelope_slots(self, envelopes: Numbers) -> Numbers:
        """The slots of a lane's envelopes."""
        if self.malformed_every == 0:
            return envelopes
        return envelopes + envelopes // (self.malformed_every - 1)

    def timestamps_us(self, devices: Numbers, sequence: Numbers) -> Numbers:
        """The time of each reading."""
        return self.start_us + sequence * self.step_us + self._phase_us(devices)

    def timestamp_us(self, device: int, sequence: int) -> int:
        """The time of one reading."""
        return int(self.timestamps_us(np.array([device]), np.array([sequence]))[0])

    def sequences(self, devices: Numbers, ts_us: Numbers) -> Numbers:
        """The sequence numbers that have these timestamps, or -1 where there is none."""
        elapsed = ts_us - self.start_us - self._phase_us(devices)
        sequence = elapsed // self.step_us
        return np.where((elapsed >= 0) & (sequence * self.step_us == elapsed), sequence, -1)

    def _phase_us(self, devices: Numbers) -> Numbers:
        return devices * self.step_us // self.size


def step_for(rate: float, *, size: int, malformed_every: int) -> int:
    """Microseconds between two readings of one of `size` devices, at `rate` messages/s in all.

    A rate of 0 is unlimited.
    """
    rate = rate or _UNLIMITED_RATE
    if malformed_every:
        rate *= 1 - 1 / malformed_every
    return max(1, round(size * 1_000_000 / rate))
