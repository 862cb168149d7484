"""The log says once that batches go to the spool, and once that it is empty again."""

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from penstock.spool.episode import QUIET_SECONDS, Episode
from tests.support.clocks import ManualClock

Events = list[Any]


@pytest.fixture
def events() -> Iterator[Events]:
    with capture_logs() as events:
        yield events


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.episode = Episode(self.clock)

    def pass_time(self, seconds: float, batches: int) -> None:
        """So many batches are in the spool meanwhile."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            self.episode.tick(batches)


def names(events: Events) -> list[str]:
    return [event["event"] for event in events]


def test_beginning_and_end_of_an_outage_are_told_once(events: Events) -> None:
    bench = Bench()
    for _ in range(50):
        bench.episode.spooled(100, database_well=False)
        bench.pass_time(1, batches=3)
    assert [(event["event"], event["log_level"]) for event in events] == [
        ("spooling_begins", "warning")
    ]
    assert events[0]["reason"] == "the database does not take batches"
    bench.pass_time(QUIET_SECONDS - 1, batches=0)
    assert len(events) == 1
    bench.pass_time(100, batches=0)
    assert names(events) == ["spooling_begins", "spool_empty"]
    assert events[1]["log_level"] == "info"
    assert (events[1]["rows_spooled"], events[1]["seconds"]) == (5_000, 50.0)


def test_a_spool_that_is_filled_and_emptied_all_the_time_is_one_episode(events: Events) -> None:
    bench = Bench()
    for _ in range(20):
        bench.episode.spooled(1, database_well=True)
        bench.pass_time(QUIET_SECONDS / 2, batches=0)
    assert names(events) == ["spooling_begins"]
    assert events[0]["reason"] == "the database takes batches, but too slowly"


def test_the_next_episode_is_told_again(events: Events) -> None:
    bench = Bench()
    for _ in range(2):
        bench.episode.spooled(7, database_well=False)
        bench.pass_time(2 * QUIET_SECONDS, batches=0)
    assert names(events) == 2 * ["spooling_begins", "spool_empty"]
    assert [event["rows_spooled"] for event in events if "rows_spooled" in event] == [7, 7]


def test_what_was_found_on_start_is_told_when_it_is_gone_alone(events: Events) -> None:
    bench = Bench()
    bench.pass_time(5, batches=2)
    bench.pass_time(2 * QUIET_SECONDS, batches=0)
    assert names(events) == ["spool_empty"]


def test_batches_that_join_what_was_found_on_start_are_told(events: Events) -> None:
    bench = Bench()
    bench.pass_time(5, batches=2)
    bench.episode.spooled(1, database_well=False)
    assert names(events) == ["spooling_begins"]


def test_an_empty_spool_is_nothing_to_tell(events: Events) -> None:
    Bench().pass_time(3 * QUIET_SECONDS, batches=0)
    assert events == []
