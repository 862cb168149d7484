"""Fleets of all kinds."""

from hypothesis import strategies as st

from penstock_simulator.clocks import Clock, grain_us
from penstock_simulator.devices import DeviceType
from penstock_simulator.fleet import AbuseWeights, Fleet, Shape

CLOCKS: tuple[Clock, ...] = ("us", "ms", "s", "ns", "iso")
SHAPES: tuple[Shape, ...] = ("envelope", "detailed", "list", "readings", "flat", "scalar", "quoted")
TYPES: tuple[DeviceType, ...] = ("environment", "power_meter", "pump", "gateway", "vehicle")
WEIGHTS = st.integers(0, 3)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """A fleet with whatever a fleet can have."""
    tenants, devices = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    shape = draw(st.sampled_from(SHAPES))
    untimed = shape in ("scalar", "quoted")
    every = st.sampled_from([0, 2, 3, 20])
    clock = draw(st.sampled_from(CLOCKS))
    step_us = draw(st.integers(1, 10_000_000 // grain_us(clock))) * grain_us(clock)
    return Fleet(
        seed=draw(st.integers(0, 0xFFFFFFFF)),
        start_us=draw(st.integers(1_600_000_000_000_000, 2_000_000_000_000_000)),
        type=draw(st.sampled_from(TYPES)),
        tenants=tenants,
        devices=devices,
        sites=draw(st.sampled_from([0, 2, 11])),
        metrics=0 if untimed else draw(st.sampled_from([0, 1, 3, 30])),
        lanes=draw(st.integers(1, tenants * devices)),
        shape=shape,
        batch=draw(st.integers(1, 5)) if shape in ("list", "readings") else 1,
        clock=clock,
        step_us=step_us,
        jitter_us=draw(st.integers(0, step_us - 1)),
        skew_us=draw(st.sampled_from([0, 60_000_000])),
        late_every=draw(every),
        repeat_every=draw(every),
        malformed_every=draw(every),
        abuse=AbuseWeights(1, *(draw(WEIGHTS) for _ in range(4))),
        topic="a/{tenant}/{device}/{metric}" if untimed else "a/{device}/of/{tenant}",
        qos=draw(st.integers(0, 1)),
    )
