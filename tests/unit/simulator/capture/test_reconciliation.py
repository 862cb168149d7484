"""What is missing, altered, doubled or strange is counted as that, and nothing else is."""

from collections.abc import Sequence
from itertools import repeat

import msgspec
import numpy as np

from penstock.settings.tree import Limits, Route, Settings
from penstock_simulator.capture.expected import Expected, expect
from penstock_simulator.capture.message import Captured
from penstock_simulator.capture.reconciliation import (
    NEVER,
    Deliveries,
    Reconciliation,
    count_stored,
    reconcile,
)
from penstock_simulator.capture.stored import Commits, Stored, StoredRows

NOW_US = 1_800_000_000_000_000
SETTINGS = Settings(
    routes=(
        Route(topic="devices/{tenant}/{device}/telemetry"),
        Route(topic="scalars/{tenant}/{device}/{metric}", format="scalar"),
    ),
    limits=Limits(payload_bytes=200),
)


def message(topic: str, payload: object) -> Captured:
    text = payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
    return Captured(at_us=0, topic=topic, text=text, qos=1)


def envelope(second: int, device: str = "d", **metrics: object) -> Captured:
    body = {"ts": NOW_US - second * 1_000_000, "metrics": metrics}
    return message(f"devices/t/{device}/telemetry", body)


CAPTURE = [
    envelope(1, temperature=21.5, on=True),
    envelope(2, temperature={"value": 22.5, "quality": 64}, state="open"),
    envelope(1, temperature=21.5, on=True),
    message("scalars/t/d/level", "7"),
    message("scalars/t/d/level", "7"),
    message("devices/t/d/telemetry", "{"),
    message("devices/t/d/telemetry", "." * 300),
    message("elsewhere/t/d", "21"),
    envelope(3, "spare", temperature=1.0),
]
TEMPERATURE, ON, STATE, LEVEL, SPARE = range(5)


def deliveries(*, sent: Sequence[int], acknowledged: Sequence[int]) -> Deliveries:
    due_us = np.where(np.array(sent) > 0, NOW_US, NEVER)
    return Deliveries(np.array(sent), np.array(acknowledged), due_us)


ALL = deliveries(sent=[1] * len(CAPTURE), acknowledged=[1] * len(CAPTURE))


def rows(*found: tuple[int, float, object, int], kind: type = np.float64) -> StoredRows:
    series, seconds, values, qualities = zip(*found, strict=True) if found else ((), (), (), ())
    return StoredRows(
        np.array(series, dtype=np.int64),
        NOW_US - np.rint(np.array(seconds, dtype=np.float64) * 1e6).astype(np.int64),
        np.array(values, dtype=kind),
        np.array(qualities, dtype=np.int64),
        np.full(len(found), 7),
    )


NUMBERS = (
    (TEMPERATURE, 1, 21.5, 192),
    (ON, 1, 1.0, 192),
    (TEMPERATURE, 2, 22.5, 64),
    (LEVEL, 0, 7.0, 192),
    (LEVEL, -1, 7.0, 192),
    (SPARE, 3, 1.0, 192),
)
TEXTS = ((STATE, 2, "open", 0),)
LETTERS = {"malformed": 1, "payload_too_large": 1}


def expected() -> Expected:
    return expect(CAPTURE, SETTINGS, repeat(NOW_US))


def judge(
    numbers: Sequence[tuple[int, float, object, int]] = NUMBERS,
    texts: Sequence[tuple[int, float, object, int]] = TEXTS,
    letters: dict[str, int] = LETTERS,
    published: Deliveries = ALL,
    *,
    committed_us: int = NOW_US + 2_000,
    own_database: bool = True,
) -> Reconciliation:
    stored = Stored(
        rows(*numbers),
        rows(*texts, kind=object),
        letters,
        Commits(np.array([7]), np.array([committed_us])),
    )
    return reconcile(expected(), published, stored, own_database=own_database)


def test_what_a_capture_should_become_is_what_the_daemon_would_make_of_it() -> None:
    found = expected()
    assert [key.metric for key in found.series] == [
        "temperature",
        "on",
        "state",
        "level",
        "temperature",
    ]
    assert found.stamped.tolist() == [3, 4]
    assert {str(reason): numbers for reason, numbers in found.refused.items()} == {
        "malformed": [5],
        "payload_too_large": [6],
    }
    assert found.unrouted == 1


def test_a_reading_is_judged_by_when_its_message_is_due() -> None:
    ahead = -SETTINGS.routes[0].time.future_seconds - 30
    found = expect(
        [envelope(ahead, early=1), envelope(ahead, late=1)],
        SETTINGS,
        [NOW_US, NOW_US + 60_000_000],
    )
    assert list(found.refused.values()) == [[0]]
    assert found.numbers.message.tolist() == [1]


def test_all_is_well_when_everything_is_there() -> None:
    account = judge()
    assert account.holds
    assert account.complete
    assert account.expected_readings == account.stored_readings == 7
    assert account.letters_expected == account.letters_found == LETTERS
    assert account.unrouted_messages == 1
    assert account.stored_before == 0
    assert account.committed_ms.p50 == 2.0


def test_each_missing_reading_is_lost() -> None:
    for place in range(len(NUMBERS)):
        account = judge([*NUMBERS[:place], *NUMBERS[place + 1 :]])
        assert account.faults == {"lost": 1}, NUMBERS[place]
    assert judge(texts=[]).faults == {"lost": 1}
    assert judge([], [], {}).faults == {"lost": 7, "letters_missing": 2}


def test_a_missing_dead_letter_is_told() -> None:
    assert judge(letters={"malformed": 1}).faults == {"letters_missing": 1}


def test_another_value_or_quality_is_corrupt() -> None:
    assert judge([(TEMPERATURE, 1, 21.25, 192), *NUMBERS[1:]]).faults == {"corrupt": 1}
    assert judge([(TEMPERATURE, 1, 21.5, 64), *NUMBERS[1:]]).faults == {"corrupt": 1}
    assert judge([NUMBERS[0], (ON, 1, 21.5, 192), *NUMBERS[2:]]).faults == {"corrupt": 1}
    assert judge(texts=[(STATE, 2, "shut", 0)]).faults == {"corrupt": 1}


def test_a_value_whose_time_was_taken_is_found_soon_after() -> None:
    two = [envelope(1, temperature=21.5), envelope(1, temperature=22.5)]
    found = expect(two, SETTINGS, repeat(NOW_US))
    published = deliveries(sent=[1, 1], acknowledged=[1, 1])
    for shift, faults in ((600e-6, {}), (-600e-6, {"lost": 1, "invented": 1})):
        at = 1 - shift
        stored = Stored(
            rows((TEMPERATURE, 1, 21.5, 192), (TEMPERATURE, at, 22.5, 192)),
            rows(kind=object),
            {},
            None,
        )
        assert reconcile(found, published, stored, own_database=True).faults == faults


def test_a_second_row_is_a_duplicate() -> None:
    assert judge([*NUMBERS, NUMBERS[0]]).faults == {"duplicates": 1}


def test_a_row_that_nobody_sent_is_invented_in_a_database_of_its_own() -> None:
    for strange in ((TEMPERATURE, 9, 21.5, 192), (-1, 1, 21.5, 192)):
        assert judge([*NUMBERS, strange]).faults == {"invented": 1}
        assert judge([*NUMBERS, strange], own_database=False).holds


def test_what_was_stamped_twice_is_no_fault() -> None:
    assert judge([*NUMBERS, (LEVEL, -2, 7.0, 192)]).holds


def test_what_nobody_acknowledged_may_be_missing_or_there() -> None:
    acknowledged = [0] + [1] * (len(CAPTURE) - 1)
    acknowledged[2] = acknowledged[3] = acknowledged[5] = 0
    published = deliveries(sent=ALL.sent.tolist(), acknowledged=acknowledged)
    there = judge(published=published)
    assert there.holds
    assert there.complete
    assert (there.expected_readings, there.unconfirmed_readings) == (4, 3)
    assert there.unconfirmed_stored == 3
    missing = judge(
        NUMBERS[2:4] + NUMBERS[5:], letters={"payload_too_large": 1}, published=published
    )
    assert missing.holds
    assert not missing.complete
    assert missing.unconfirmed_stored == 0


def test_where_nothing_was_acknowledged_and_nothing_arrived_nothing_holds() -> None:
    published = deliveries(sent=ALL.sent.tolist(), acknowledged=[0] * len(CAPTURE))
    nothing = judge([], [], {}, published)
    assert (nothing.unconfirmed_readings, nothing.unconfirmed_stored) == (7, 0)
    assert nothing.faults == {}
    assert not nothing.confirmed
    assert not nothing.holds
    something = judge(NUMBERS[:1], [], {}, published)
    assert (something.unconfirmed_readings, something.unconfirmed_stored) == (7, 1)
    assert something.holds


def test_what_was_not_sent_is_not_expected() -> None:
    sent = [1] * (len(CAPTURE) - 1) + [0]
    published = deliveries(sent=sent, acknowledged=sent)
    assert judge(NUMBERS[:-1], published=published).holds
    assert judge(published=published).faults == {"invented": 1}


def test_what_was_there_before_is_counted_whoever_published_it() -> None:
    stored = Stored(rows(*NUMBERS), rows(*TEXTS, kind=object), {}, None)
    assert count_stored(expected(), len(CAPTURE), stored) == 5
    assert judge(committed_us=NOW_US - 1).committed_ms.count == 0


def test_what_was_all_there_before_shows_nothing() -> None:
    found = judge()
    there = found.stored_readings
    assert msgspec.structs.replace(found, stored_before=there).nothing_new
    assert not msgspec.structs.replace(found, stored_before=there - 1).nothing_new
    assert not found.nothing_new
