"""The formats that a route can name, and what all their decoders promise.

A decoder yields only what can be stored: numbers that are finite, strings without NUL and within
`limits.text_bytes`, timestamps within the route's bounds. A message is taken whole or refused
whole. The one error of a decoder is `Rejected`. Metric names are left to the caller, who sees
which ones are new.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from penstock.decode.envelope import EnvelopeDecoder
from penstock.decode.flat import FlatDecoder
from penstock.decode.scalar import ScalarDecoder
from penstock.model import Origin, Readings
from penstock.settings.tree import Limits, Route


class Decoder(Protocol):
    """Decodes the payload of one message, received at `received_us` from `origin`.

    Readings without a time of their own are stamped with that of receipt, those of later groups a
    microsecond later each, lest they pass for duplicates of one another.
    """

    def __call__(self, payload: bytes, origin: Origin, received_us: int, /) -> list[Readings]: ...


def make_decoder(route: Route, limits: Limits) -> Decoder:
    """The decoder of a route that the router has accepted."""
    match route.format:
        case "envelope":
            return EnvelopeDecoder(route, limits).decode
        case "flat":
            return FlatDecoder(route, limits).decode
        case "scalar":
            return ScalarDecoder(limits).decode


def make_decoders(routes: Sequence[Route], limits: Limits) -> list[Decoder]:
    """The decoder of each route that the router has accepted; routes that read alike share one.

    So what a message needs stays in the processor's cache, however many routes there are.
    """
    made: dict[Route, Decoder] = {}
    decoders = []
    for route in routes:
        names_aside = msgspec.structs.replace(
            route, topic="#", tenant=None, device=None, metric=None
        )
        if names_aside not in made:
            made[names_aside] = make_decoder(route, limits)
        decoders.append(made[names_aside])
    return decoders
