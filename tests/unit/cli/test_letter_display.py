import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.letter_display import HEADING, as_lines, as_row, letter_as_json
from penstock.storage.dead_letters import StoredDeadLetter

LETTER = StoredDeadLetter(
    id=7,
    received_at=datetime(2026, 1, 31, 8, 0, 0, 123_456, tzinfo=UTC),
    tenant="acme",
    device="pump",
    topic="devices/acme/pump/telemetry",
    payload=b'{"a": 1}\n',
    reason="malformed",
    detail="not an envelope",
    sqlstate=None,
    correlation_id=None,
    status="new",
    replayed_at=None,
)


def with_payload(payload: bytes) -> StoredDeadLetter:
    return msgspec.structs.replace(LETTER, payload=payload)


def test_a_row_has_a_cell_for_each_heading_and_no_payload() -> None:
    assert dict(zip(HEADING, as_row(LETTER), strict=True)) == {
        "id": "7",
        "received": "2026-01-31T08:00:00Z",
        "status": "new",
        "reason": "malformed",
        "origin": "devices/acme/pump/telemetry",
        "detail": "not an envelope",
    }


def test_a_reading_without_a_topic_is_listed_under_its_device() -> None:
    assert as_row(msgspec.structs.replace(LETTER, topic=None))[4] == "acme/pump"


def test_a_payload_of_text_is_shown_as_it_is() -> None:
    assert list(as_lines(with_payload('{"t": "21 °C"}\n\t[]'.encode())))[-3:] == [
        "payload      19 bytes",
        '{"t": "21 °C"}',
        "\t[]",
    ]


@pytest.mark.parametrize("payload", [b"\xff\x00", b"\x1b[2J", "\u202e".encode(), b"a\x00"])
def test_a_payload_that_is_not_printable_is_shown_in_hexadecimal(payload: bytes) -> None:
    assert list(as_lines(with_payload(payload)))[-2:] == [
        f"payload      {len(payload)} bytes, in hexadecimal",
        payload.hex(" "),
    ]


@given(st.binary(max_size=200))
def test_no_payload_can_steer_the_terminal_that_shows_it(payload: bytes) -> None:
    for line in as_lines(with_payload(payload)):
        assert line.replace("\t", "").isprintable()


@given(st.text(st.characters(codec="utf-8")))
def test_nothing_that_came_with_the_message_can_steer_the_terminal(text: str) -> None:
    letter = msgspec.structs.replace(
        LETTER, topic=text, detail=text, correlation_id=text, tenant=text, device=text
    )
    assert all(line.isprintable() for line in list(as_lines(letter))[:-2])


def test_all_that_is_known_is_shown_and_nothing_that_is_not() -> None:
    full = msgspec.structs.replace(
        LETTER,
        sqlstate="22003",
        correlation_id="job-7",
        status="replayed",
        replayed_at=datetime(2026, 2, 1, tzinfo=UTC),
    )
    assert list(as_lines(full)) == [
        "id           7",
        "received     2026-01-31T08:00:00.123456Z",
        "status       replayed",
        "replayed     2026-02-01T00:00:00.000000Z",
        "reason       malformed",
        "detail       not an envelope",
        "sqlstate     22003",
        "tenant       acme",
        "device       pump",
        "topic        devices/acme/pump/telemetry",
        "correlation  job-7",
        "payload      9 bytes",
        '{"a": 1}',
    ]
    assert not any(line.startswith(("sqlstate", "correlation")) for line in as_lines(LETTER))


@given(st.binary(max_size=200))
def test_json_is_one_line_that_holds_the_payload_without_loss(payload: bytes) -> None:
    line = letter_as_json(with_payload(payload))
    assert "\n" not in line
    fields = json.loads(line)
    if "payload_hex" in fields:
        assert bytes.fromhex(fields["payload_hex"]) == payload
        assert "payload" not in fields
    else:
        assert fields["payload"].encode() == payload
    assert fields["id"] == 7
    assert datetime.fromisoformat(fields["received_at"]) == LETTER.received_at
