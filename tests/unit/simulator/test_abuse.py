"""Every kind of malformed message is what it says, in the words of the daemon's own list."""

import time

import pytest

from penstock.errors import Reason
from penstock_simulator.abuse import ABUSES, Abuse, abuse_of, marker, marker_pattern


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.name)
def test_the_marker_is_found_in_every_payload(abuse: Abuse) -> None:
    payload = abuse.build(marker("0000beef", 3, 41), time.time_ns() // 1_000)
    found = marker_pattern("0000beef").search(payload)
    assert found is not None
    assert (int(found[1]), int(found[2])) == (3, 41)
    assert marker_pattern("0000dead").search(payload) is None


def test_reasons_are_of_the_closed_list() -> None:
    assert {abuse.reason for abuse in ABUSES} <= {reason.value for reason in Reason}


def test_all_kinds_come_and_stay_the_same() -> None:
    kinds = [abuse_of(9, 0, number) for number in range(1_000)]
    assert set(kinds) == set(ABUSES)
    assert kinds == [abuse_of(9, 0, number) for number in range(1_000)]
