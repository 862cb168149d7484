"""A flood of one event shows its first few lines a second and then a count."""

import structlog

from penstock.observability.sampling import SampledLog
from tests.support.clocks import ManualClock


def sampled(clock: ManualClock, per_second: int = 3) -> tuple[SampledLog, list[dict[str, object]]]:
    lines: list[dict[str, object]] = []

    def keep(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
        lines.append(dict(event))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[keep], wrapper_class=structlog.stdlib.BoundLogger)
    return SampledLog(log, clock, per_second), lines


def test_the_first_of_each_second_are_logged_whole() -> None:
    clock = ManualClock()
    log, lines = sampled(clock)
    for number in range(10):
        log.warning("dead_letter", reason="malformed", topic=f"t{number}")
    assert lines == [
        {"event": "dead_letter", "reason": "malformed", "topic": f"t{number}"}
        for number in range(3)
    ]


def test_the_rest_is_counted_once_the_second_is_over() -> None:
    clock = ManualClock()
    log, lines = sampled(clock)
    for _ in range(10):
        log.warning("dead_letter", reason="malformed")
    clock.advance(0.9)
    log.flush()
    assert len(lines) == 3
    clock.advance(0.2)
    log.flush()
    log.flush()
    assert lines[3:] == [{"event": "dead_letter", "reason": "malformed", "suppressed": 7}]


def test_the_count_comes_before_the_next_line_without_a_flush() -> None:
    clock = ManualClock()
    log, lines = sampled(clock, per_second=1)
    log.warning("dead_letter", reason="malformed", n=1)
    log.warning("dead_letter", reason="malformed", n=2)
    clock.advance(1.0)
    log.warning("dead_letter", reason="malformed", n=3)
    assert [(line.get("n"), line.get("suppressed")) for line in lines] == [
        (1, None),
        (None, 1),
        (3, None),
    ]


def test_each_event_and_reason_has_its_own_share() -> None:
    clock = ManualClock()
    log, lines = sampled(clock, per_second=1)
    for _ in range(5):
        log.warning("dead_letter", reason="malformed")
        log.warning("dead_letter", reason="too_deep")
        log.warning("refused", reason="malformed")
    assert len(lines) == 3


def test_nothing_is_said_of_nothing_suppressed() -> None:
    clock = ManualClock()
    log, lines = sampled(clock)
    log.warning("dead_letter", reason="malformed")
    clock.advance(5.0)
    log.flush()
    assert len(lines) == 1


def test_at_the_end_the_count_does_not_wait_for_the_second_to_be_over() -> None:
    clock = ManualClock()
    log, lines = sampled(clock, per_second=1)
    for _ in range(3):
        log.warning("dead_letter", reason="malformed")
    log.close()
    log.close()
    assert lines[1:] == [{"event": "dead_letter", "reason": "malformed", "suppressed": 2}]
