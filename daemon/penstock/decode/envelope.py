"""Format `envelope`: readings with their timestamp, alone or in batches.

An envelope is `{"ts"?, "metrics": {name: value}, "seq"?, "tenant"?, "device"?}`, where a value is
a number, boolean, string, null or `{"value", "quality"?, "unit"?}`. A batch is a list of
envelopes, or `{"readings": [envelope, …]}`, whose own `ts` stands in where an envelope has none.

This is the hot path: what msgspec's types guarantee is not checked again.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from penstock.decode.refusals import UNREADABLE, too_large, too_many, unreadable
from penstock.decode.texts import ESCAPE, check_texts
from penstock.decode.timestamps import Timestamp, TimeWindow
from penstock.errors import Reason, Rejected
from penstock.model import Origin, Readings, Value
from penstock.settings.tree import Limits, Route
from penstock.topics.names import quote


class _Envelope(msgspec.Struct, gc=False):
    metrics: dict[str, Value] | UnsetType = UNSET
    ts: Timestamp | None = None
    seq: Annotated[int, Meta(ge=0)] | None = None
    tenant: str | None = None
    device: str | None = None


class _Body(_Envelope, gc=False):
    readings: list[_Envelope] | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Body | list[_Envelope]).decode
_decode_value = msgspec.json.Decoder(Value).decode


class EnvelopeDecoder:
    """Decodes the envelopes of one route."""

    def __init__(self, route: Route, limits: Limits) -> None:
        self._limits = limits
        self._payload_bytes = limits.payload_bytes
        self._text_bytes = limits.text_bytes
        self._metrics = limits.metrics
        self._admit = TimeWindow(route.time).admit

    def decode(self, payload: bytes, origin: Origin, received_us: int) -> list[Readings]:
        """Fulfils `penstock.decode.Decoder`."""
        if len(payload) > self._payload_bytes:
            raise too_large(len(payload), self._limits)
        try:
            body = _decode(payload)
        except UNREADABLE as error:
            raise unreadable(error, payload, self._limits, _decode_value) from error
        if type(body) is _Body and body.readings is UNSET:
            readings = [self._take(body, origin, received_us, received_us)]
        else:
            readings = self._take_batch(body, origin, received_us)
        if ESCAPE in payload or len(payload) > self._text_bytes:
            for group in readings:
                check_texts(group.metrics, self._text_bytes)
        return readings

    def _take(
        self, envelope: _Envelope, origin: Origin, received_us: int, stamp_us: int
    ) -> Readings:
        """The readings of one envelope, stamped with `stamp_us` where it has no time of its own."""
        metrics, ts = envelope.metrics, envelope.ts
        if metrics is UNSET:
            raise Rejected(Reason.MALFORMED, "an envelope has no `metrics`")
        if envelope.tenant is not None or envelope.device is not None:
            _check_sender(envelope, origin)
        if len(metrics) > self._metrics:
            raise too_many(len(metrics), self._limits)
        return Readings(stamp_us if ts is None else self._admit(ts, received_us), metrics)

    def _take_batch(
        self, batch: _Body | list[_Envelope], origin: Origin, received_us: int
    ) -> list[Readings]:
        envelopes = batch if isinstance(batch, list) else _unpack(batch, origin)
        readings = [
            self._take(envelope, origin, received_us, stamp_us)
            for stamp_us, envelope in enumerate(envelopes, start=received_us)
        ]
        count = sum(len(group.metrics) for group in readings)
        if count > self._metrics:
            raise too_many(count, self._limits)
        return readings


def _unpack(batch: _Body, origin: Origin) -> list[_Envelope]:
    """The envelopes of a batch that is an object."""
    assert batch.readings is not UNSET, "an envelope without `readings` is no batch"
    if batch.metrics is not UNSET:
        raise Rejected(Reason.MALFORMED, "both `metrics` and `readings`, of which one is allowed")
    _check_sender(batch, origin)
    for envelope in batch.readings:
        if envelope.ts is None:
            envelope.ts = batch.ts
    return batch.readings


def _check_sender(envelope: _Envelope, origin: Origin) -> None:
    """Refuse an envelope that claims to come from elsewhere than its topic says."""
    if envelope.tenant is not None and envelope.tenant != origin.tenant:
        raise Rejected(
            Reason.TENANT_MISMATCH,
            f"the payload says tenant {quote(envelope.tenant)}, the topic {quote(origin.tenant)}",
        )
    if envelope.device is not None and envelope.device != origin.device:
        raise Rejected(
            Reason.DEVICE_MISMATCH,
            f"the payload says device {quote(envelope.device)}, the topic {quote(origin.device)}",
        )
