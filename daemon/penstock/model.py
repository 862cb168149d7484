"""The structs that cross stages.

A *message* is one MQTT PUBLISH. It carries *readings*: one value of one metric of one device of
one tenant at one time. A *series* is the identity of such values: (tenant, device, metric).
Readings travel as columns in a `Batch`; whatever cannot be a reading travels beside them as a
`DeadLetter`.

Invariants: the readings, dead letters and packet id of one message are all in the same batch; once
sealed a batch is never changed.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.errors import Reason

GOOD_QUALITY = 192
"""OPC quality code "good" (OPC DA 3.00 §6.8), the default of a reading that carries none."""


class Message(Protocol):
    """A received PUBLISH as every source hands it on; `mqtt5.PublishPacket` is one as it stands."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def packet_id(self) -> int | None:
        """Packet identifier to acknowledge with, or `None` at QoS 0."""
        ...

    @property
    def correlation_data(self) -> bytes | None: ...


class Sample(msgspec.Struct, gc=False, frozen=True):
    """A metric's value with its attributes, as an envelope may carry it."""

    value: float | bool | str | None
    quality: Annotated[int, msgspec.Meta(ge=0, le=32767)] = GOOD_QUALITY
    unit: Annotated[str, msgspec.Meta(max_length=64)] | None = None


Value = float | bool | str | None | Sample
"""What a decoder yields for a metric: finite numbers, strings without NUL; `None` is no reading."""


class Readings(msgspec.Struct, gc=False, frozen=True):
    """Values that share one timestamp: `ts_us` in microseconds since the Unix epoch, UTC.

    One is made for each message; a named tuple would cost as much as parsing the message does.
    """

    ts_us: int
    metrics: dict[str, Value]


class Origin(msgspec.Struct, frozen=True):
    """What a topic says of a message: its route and the names that the template took out of it."""

    route: int
    """Position of the route in the configuration."""
    tenant: str
    device: str
    metric: str | None = None
    """The metric, where the template names one."""


class SeriesKey(NamedTuple):
    """The identity of a series, before the database has given it a number."""

    tenant: str
    device: str
    metric: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message (or a single poison reading) that could not be stored, with the reason."""

    received_us: int
    topic: str | None
    """The topic as received, or `None` for a single reading that the database refused."""
    payload: bytes
    """The raw payload; for a single refused reading, that reading as an envelope."""
    reason: Reason
    detail: str
    tenant: str | None = None
    device: str | None = None
    sqlstate: str | None = None
    correlation_id: str | None = None


class SeriesIndex:
    """Numbers series densely within this process, so that a batch holds an integer a reading.

    `ids[i]` is the database's `series_id` of series `i`, `UNRESOLVED` until a writer resolves it.
    An index only grows; when it is full its owner starts a new one, and batches keep theirs.
    """

    UNRESOLVED = 0

    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []
        self.units: list[str | None] = []
        self.ids: NDArray[np.int32] = np.zeros(1024, dtype=np.int32)
        self.tenants: NDArray[np.int32] = np.zeros(1024, dtype=np.int32)
        """Position of each series' tenant in `tenant_names`."""
        self.tenant_names: list[str] = []
        self._tenant_numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, key: SeriesKey, unit: str | None = None) -> int:
        """Number a series that is not in the index yet and return its number."""
        number = len(self.keys)
        if number == len(self.ids):
            self.ids = np.concatenate([self.ids, np.zeros_like(self.ids)])
            self.tenants = np.concatenate([self.tenants, np.zeros_like(self.tenants)])
        self.keys.append(key)
        self.units.append(unit)
        self.tenants[number] = self.tenant_number(key.tenant)
        return number

    def tenant_number(self, tenant: str) -> int:
        """The position of `tenant` in `tenant_names`, adding it when new."""
        number = self._tenant_numbers.get(tenant)
        if number is None:
            number = self._tenant_numbers[tenant] = len(self.tenant_names)
            self.tenant_names.append(tenant)
        return number

    def count_by_tenant(self, numbers: NDArray[np.int32]) -> dict[str, int]:
        """How many of the series with these numbers each tenant has, repetitions included."""
        counts = np.bincount(self.tenants[numbers])
        present = np.flatnonzero(counts)
        # As lists: an element of an array costs several times as much to take out.
        names = [self.tenant_names[tenant] for tenant in present.tolist()]
        return dict(zip(names, counts[present].tolist(), strict=True))

    def unresolved(self, numbers: NDArray[np.int32]) -> list[int]:
        """Those of `numbers` that have no database id yet, each once, ascending."""
        missing = numbers[self.ids[numbers] == self.UNRESOLVED]
        return [int(number) for number in np.unique(missing)]


class NumberColumns(NamedTuple):
    """Numeric readings, one row each; all columns have the same length."""

    series: NDArray[np.int32]
    """Number in the batch's `SeriesIndex`."""
    ts_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.int16]

    def rows(self, start: int, stop: int) -> "NumberColumns":
        """A view of rows `start` to `stop`."""
        return NumberColumns(
            self.series[start:stop],
            self.ts_us[start:stop],
            self.value[start:stop],
            self.quality[start:stop],
        )


class TextColumns(NamedTuple):
    """String readings, one row each; all columns have the same length."""

    series: NDArray[np.int32]
    ts_us: NDArray[np.int64]
    value: Sequence[str]

    def rows(self, start: int, stop: int) -> "TextColumns":
        """A view of rows `start` to `stop`."""
        return TextColumns(self.series[start:stop], self.ts_us[start:stop], self.value[start:stop])


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What moves to the database: the unit of queueing, commit and acknowledgement."""

    number: int
    """Position in the order of receipt, from 1, without gaps within a process."""
    index: SeriesIndex
    numbers: NumberColumns
    texts: TextColumns
    dead_letters: Sequence[DeadLetter]
    messages: int
    """How many messages made this batch, those of QoS 0 and the dead-lettered included."""
    size_bytes: int
    """What the batch is counted as against `storage.queue_bytes`."""
    first_received_us: int
    """When the first message of the batch was received."""

    @property
    def readings(self) -> int:
        """Numeric and text readings in the batch."""
        return len(self.numbers.series) + len(self.texts.series)

    @property
    def rows(self) -> int:
        """Rows to be written: readings and dead letters."""
        return self.readings + len(self.dead_letters)
