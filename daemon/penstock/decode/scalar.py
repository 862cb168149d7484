"""Format `scalar`: the payload is one value, and the topic or the route names the metric.

Many devices quote their numbers, so a JSON string that is itself a JSON number counts as that
number.
"""

import re

import msgspec

from penstock.decode.refusals import EXPECTED_NUMBER, UNREADABLE, too_large, unreadable
from penstock.decode.texts import check_texts
from penstock.errors import Reason, Rejected
from penstock.model import Origin, Readings
from penstock.settings.tree import Limits
from penstock.topics.names import quote

_Scalar = float | bool | str | None

_decode = msgspec.json.Decoder(_Scalar).decode
_decode_number = msgspec.json.Decoder(float).decode

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""RFC 8259 §6."""


class ScalarDecoder:
    """Decodes the single values of one route; they carry no timestamp of their own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def decode(self, payload: bytes, origin: Origin, received_us: int) -> list[Readings]:
        """Fulfils `penstock.decode.Decoder`."""
        limits = self._limits
        if len(payload) > limits.payload_bytes:
            raise too_large(len(payload), limits)
        try:
            value = _decode(payload)
        except UNREADABLE as error:
            raise unreadable(error, payload, limits, _decode) from error
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = _unquote(value)
        assert origin.metric is not None, "the router sees to it that a scalar route names a metric"
        metrics = {origin.metric: value}
        if isinstance(value, str):
            check_texts(metrics, limits.text_bytes)
        return [Readings(received_us, metrics)]


def _unquote(text: str) -> float:
    try:
        return _decode_number(text)
    except msgspec.ValidationError:
        raise Rejected(Reason.BAD_VALUE, f"{quote(text)}: {EXPECTED_NUMBER}") from None
