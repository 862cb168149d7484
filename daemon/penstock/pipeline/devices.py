"""What the intake remembers of topics and devices: a known topic costs one dictionary look-up.

Invariants: all topics of a device share one `Device`, so a series is numbered once; the caches are
bounded and start anew when full, together with the series index, because a device's numbers are
positions in that index. Batches that were sealed before keep the index they were made with.
"""

import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from penstock.decode import Decoder
from penstock.errors import Reason, Rejected
from penstock.model import Origin, SeriesIndex, SeriesKey
from penstock.topics import Router, check_name

Admission = Callable[[str, str], bool]
"""Whether a device of a tenant may store readings: (tenant, device) → yes or no."""

_LONGEST_REMEMBERED_CHARACTERS: Final = 1_024
"""Where a template ignores levels, a sender may make topics of 64 KB: those are resolved anew."""

_NO_METRICS: Final[list[str]] = []
_NO_SERIES: Final = array("i")


class Device:
    """The series numbers of one device, by metric."""

    __slots__ = (
        "_index", "_name_characters", "device", "layout", "layout_series", "others", "series",
        "tenant",
    )  # fmt: skip

    def __init__(
        self, index: SeriesIndex, tenant: str, device: str, name_characters: int = 128
    ) -> None:
        self._index = index
        self._name_characters = name_characters
        self.tenant = tenant
        self.device = device
        self.series: dict[str, int] = {}
        self.others: tuple[str, ...] = ()
        """Metrics of which it has sent something else than a plain number or boolean."""

        # All that devices do not have of their own they share: there may be many.
        self.layout = _NO_METRICS
        """The numbers of an envelope as it sent one last: it will send more of the same."""
        self.layout_series = _NO_SERIES
        """Their series numbers."""

    def lay_out(self, metrics: list[str]) -> None:
        """Expect these metrics, in this order; `KeyError` when one is seen for the first time."""
        self.layout_series = array("i", map(self.series.__getitem__, metrics))
        self.layout = metrics

    def add_series(self, metric: str, unit: str | None = None) -> int:
        """Number a metric seen for the first time; `Rejected` when its name is not valid."""
        fault = check_name(metric, self._name_characters)
        if fault is not None:
            raise Rejected(Reason.BAD_NAME, f"metric name {metric[:200]!r}: {fault}")
        # One string for all devices: looking a metric up compares with it, so it is to be near.
        metric = sys.intern(metric)
        key = SeriesKey(self.tenant, self.device, metric)
        number = self.series[metric] = self._index.add(key, unit)
        return number


class Known(msgspec.Struct, frozen=True, gc=False):
    """All that a topic says: where its messages come from, and how to read and number them."""

    origin: Origin
    decode: Decoder
    device: Device


class TopicCache:
    """Topic → `Known`, resolved through the router on first sight."""

    def __init__(
        self,
        router: Router,
        decoders: Sequence[Decoder],
        admitted: Admission,
        *,
        max_entries: int,
    ) -> None:
        self._router = router
        self._decoders = decoders
        self._admitted = admitted
        self._max_entries = max_entries
        self.renew()

    def renew(self) -> None:
        """Forget everything and start a new series index."""
        self.index = SeriesIndex()
        self._devices: dict[tuple[str, str], Device] = {}
        self._topics: dict[str, Known] = {}
        self.get = self._topics.get
        """`get(topic)`: what is known of a topic, or None."""

    def forget_topics(self) -> None:
        """Have each device admitted anew; its series keep their numbers."""
        self._topics.clear()

    @property
    def full(self) -> bool:
        """Whether it is time to `renew`."""
        return max(len(self._topics), len(self._devices), len(self.index)) >= self._max_entries

    def __len__(self) -> int:
        return len(self._topics)

    def origin(self, topic: str) -> Origin | None:
        """Where messages of a topic come from, as far as the routes can tell."""
        try:
            return self._router.resolve(topic)
        except Rejected:
            return None

    def resolve(self, topic: str) -> Known:
        """Learn a topic.

        Errors: `Rejected` when no route takes it, a name is bad or the device is not admitted.

        Refusals are not remembered: a flood of bad topics must not push good ones out.
        """
        origin = self._router.resolve(topic)
        device = self.device(origin.tenant, origin.device)
        known = Known(origin, self._decoders[origin.route], device)
        if len(topic) <= _LONGEST_REMEMBERED_CHARACTERS:
            self._topics[topic] = known
        return known

    def device(self, tenant: str, name: str) -> Device:
        """The one `Device` of these names; `Rejected` when it is not admitted."""
        if not self._admitted(tenant, name):
            raise Rejected(
                Reason.UNREGISTERED_DEVICE,
                f"device {name!r} of tenant {tenant!r} is not registered",
            )
        device = self._devices.get((tenant, name))
        if device is None:
            device = self._devices[tenant, name] = Device(
                self.index, tenant, name, self._router.name_characters
            )
        return device
