"""A lane has its turn when something of it is due, and not before it may go on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_simulator.agenda import NO_LIMIT, Agenda
from penstock_simulator.life import Births
from penstock_simulator.pace import Steady
from penstock_simulator.schedule import Schedule

LANES = 5
EVERY = np.arange(LANES)


def agenda_with(*, scheduled: bool = True, jitter: float = 0.0, births: bool = False) -> Agenda:
    schedule = Schedule(
        seed=3,
        lanes=LANES,
        pace=Steady(100),
        jitter=jitter,
        births=Births(share=0.5, over_seconds=2) if births else None,
    )
    agenda = Agenda(EVERY, lanes=LANES, schedule=schedule if scheduled else None)
    agenda.resume(EVERY, np.zeros(LANES, dtype=np.int64))
    return agenda


@given(
    st.lists(st.floats(0, 1_000), min_size=1, max_size=20),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
)
def test_ready_lanes_alone_have_something_due(
    steps: list[float], jitter: float, births: bool
) -> None:
    agenda = agenda_with(jitter=jitter, births=births)
    sent = np.zeros(LANES, dtype=np.int64)
    for place in np.cumsum(steps).tolist():
        ready = agenda.ready(place)
        due = agenda.due_slots(EVERY, place)
        assert ready.tolist() == np.flatnonzero(due > sent).tolist()
        sent = due
        agenda.resume(EVERY, sent)


def test_a_held_lane_is_left_out_until_it_is_resumed() -> None:
    agenda = agenda_with()
    agenda.hold(2)
    assert agenda.ready(10).tolist() == [0, 1, 3, 4]
    assert [agenda.is_held(which) for which in range(LANES)] == [False, False, True, False, False]
    agenda.resume(np.array([2]), np.array([0]))
    assert agenda.ready(10).tolist() == [0, 1, 2, 3, 4]


def test_without_a_schedule_everything_is_due_at_once() -> None:
    agenda = agenda_with(scheduled=False)
    assert agenda.place_at(0.0) == NO_LIMIT
    assert agenda.due_slots(EVERY, NO_LIMIT).min() > 10**15


@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("messages", [0, 1, 4, 5, 12])
def test_an_allowance_of_so_many_messages_is_shared_out_whole(
    messages: int, scheduled: bool
) -> None:
    agenda = agenda_with(scheduled=scheduled)
    assert agenda.due_slots(EVERY, messages - 1).sum() == messages
