"""Every reading that is fed comes out, and is counted."""

import pytest

from benchmarks.headroom import LOADS, Load, measure_load, result_of


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_all_that_is_fed_is_sealed_and_counted(load: Load) -> None:
    window = measure_load(load, seconds=0.01)
    assert window.messages > 0
    assert window.readings == pytest.approx(window.messages * load.readings)


def test_each_goal_is_for_the_load_that_can_meet_it() -> None:
    windows = {load: [measure_load(load, seconds=0.01)] for load in LOADS}
    messages, readings = result_of(windows).goals
    assert messages.figure == windows[LOADS[0]][0].messages
    assert readings.figure == max(window.readings for (window,) in windows.values())
