"""What is due when follows from the pace and the seed alone, and can be computed back."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.life import Births
from penstock_simulator.pace import Bursts, Pace, Ramp, Steady
from penstock_simulator.schedule import Schedule

RATES = st.floats(0.1, 100_000)
SPANS = st.floats(0.1, 100)
PACES = st.one_of(
    st.builds(Steady, RATES),
    st.builds(Ramp, first=RATES, last=RATES, steps=st.integers(2, 20), step_seconds=SPANS),
    st.builds(
        lambda rate, factor, burst, quiet: Bursts(
            rate=rate, factor=factor, burst_seconds=burst, period_seconds=burst + quiet
        ),
        RATES,
        st.floats(1, 50),
        SPANS,
        SPANS,
    ),
)
LANES = np.arange(7)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    births = st.builds(Births, share=st.floats(0.1, 1), over_seconds=SPANS)
    return Schedule(
        seed=draw(st.integers(0, 0xFFFFFFFF)),
        lanes=len(LANES),
        pace=draw(PACES),
        jitter=draw(st.sampled_from([0.0, 0.3, 1.0])),
        births=draw(st.none() | births),
    )


@given(PACES, st.floats(0, 1_000))
def test_a_message_is_due_when_the_pace_has_come_to_it(pace: Pace, seconds: float) -> None:
    messages = pace.due_messages(seconds)
    assert pace.due_seconds(np.array([messages]))[0] == pytest.approx(seconds, rel=1e-9, abs=1e-6)


@given(PACES, st.floats(0, 1_000), st.floats(0, 1_000))
def test_what_is_due_never_becomes_less(pace: Pace, one: float, other: float) -> None:
    early, late = sorted([one, other])
    assert pace.due_messages(early) <= pace.due_messages(late) * (1 + 1e-12)


def test_nothing_is_due_before_the_beginning() -> None:
    ramp = Ramp(first=5, last=10, steps=2, step_seconds=1)
    bursts = Bursts(rate=1, factor=2, burst_seconds=1, period_seconds=2)
    assert [pace.due_messages(-1.0) for pace in (Steady(9), ramp, bursts)] == [0, 0, 0]


def test_a_ramp_takes_equal_steps_and_goes_on_at_its_last_rate() -> None:
    ramp = Ramp(first=100, last=300, steps=3, step_seconds=2)
    assert ramp.rates.tolist() == [100, 200, 300]
    assert [ramp.due_messages(s) for s in (1, 2, 3, 4, 6, 7)] == [100, 200, 400, 600, 1_200, 1_500]


def test_bursts_multiply_the_rate_at_the_end_of_each_period() -> None:
    bursts = Bursts(rate=10, factor=5, burst_seconds=2, period_seconds=10)
    assert [bursts.due_messages(s) for s in (8, 9, 10, 18, 20)] == [80, 130, 180, 260, 360]


def test_a_burst_as_long_as_its_period_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Bursts(rate=1, factor=2, burst_seconds=5, period_seconds=5)


@given(PACES)
def test_a_pace_is_read_back_as_it_was_written(pace: Pace) -> None:
    assert msgspec.json.decode(msgspec.json.encode(pace), type=Pace) == pace


@given(schedules(), st.integers(0, 6))
def test_the_slots_of_a_lane_are_due_in_their_order(schedule: Schedule, lane: int) -> None:
    due_us = schedule.due_us(lane, np.arange(200))
    assert (np.diff(due_us) >= 0).all()
    assert due_us[0] >= 0


@given(schedules(), st.floats(0, 200))
def test_what_is_due_by_now_is_what_was_due_before_now(schedule: Schedule, seconds: float) -> None:
    place = schedule.pace.due_messages(seconds)
    due = schedule.due_turns(LANES, np.full(len(LANES), place))
    turns = np.maximum(due - 1, 0)
    assert (schedule.places(LANES, turns)[due > 0] <= place * (1 + 1e-9) + 1e-6).all()
    assert (schedule.places(LANES, due) >= place * (1 - 1e-9) - 1e-6).all()


@given(schedules())
def test_a_lane_sends_nothing_before_it_is_born_and_owes_nothing_of_then(
    schedule: Schedule,
) -> None:
    assert schedule.births is not None or not schedule.unborn_turns(LANES).any()
    if schedule.births is None:
        return
    born_us = schedule.births.seconds(schedule.seed, LANES) * 1e6
    first_us = np.array([schedule.due_us(lane, np.arange(1))[0] for lane in LANES.tolist()])
    assert (first_us >= born_us - 2).all()


def test_without_jitter_the_lanes_take_turns() -> None:
    schedule = Schedule(seed=1, lanes=4, pace=Steady(1_000))
    assert schedule.due_us(0, np.arange(3)).tolist() == [0, 4_000, 8_000]
    assert schedule.due_us(3, np.arange(3)).tolist() == [3_000, 7_000, 11_000]


def test_jitter_spreads_the_messages_over_the_turn_of_their_lane() -> None:
    schedule = Schedule(seed=1, lanes=4, pace=Steady(1_000), jitter=0.5)
    late_us = schedule.due_us(2, np.arange(5_000)) - np.arange(5_000) * 4_000 - 2_000
    assert late_us.min() >= 0
    assert late_us.max() <= 2_000
    assert np.histogram(late_us, bins=4, range=(0, 2_000))[0].min() > 1_000
