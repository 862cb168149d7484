"""Routes share a decoder where they read payloads alike, and only there."""

from penstock.decode import make_decoders
from penstock.settings.tree import Limits, Route, TimeBounds


def test_routes_that_differ_in_names_alone_share_a_decoder() -> None:
    one, other, third = make_decoders(
        [
            Route(topic="north/{tenant}/{device}"),
            Route(topic="south/{device}", tenant="south"),
            Route(topic="west", tenant="west", device="weir"),
        ],
        Limits(),
    )
    assert one == other == third


def test_routes_that_read_differently_do_not() -> None:
    decoders = make_decoders(
        [
            Route(topic="a/{tenant}/{device}"),
            Route(topic="b/{tenant}/{device}", time=TimeBounds(past_seconds=60)),
            Route(topic="c/{tenant}/{device}", format="flat"),
            Route(topic="d/{tenant}/{device}", format="flat", timestamp_path="time"),
            Route(topic="e/{tenant}/{device}", format="flat", ignore_paths=("time",)),
            Route(topic="f/{tenant}/{device}/{metric}", format="scalar"),
        ],
        Limits(),
    )
    assert all(one != other for at, one in enumerate(decoders) for other in decoders[:at])
