"""Dead letters as people and programs read them. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from penstock.cli.output import printable
from penstock.storage.dead_letters import StoredDeadLetter

HEADING = ("id", "received", "status", "reason", "origin", "detail")

_HEX_BYTES_A_LINE = 32


def as_row(letter: StoredDeadLetter) -> tuple[str, ...]:
    """The cells under `HEADING`."""
    return (
        str(letter.id),
        _time(letter.received_at, "seconds"),
        letter.status,
        letter.reason,
        # A single reading that the database refused has no topic.
        letter.topic or f"{letter.tenant}/{letter.device}",
        letter.detail,
    )


def letter_as_json(letter: StoredDeadLetter) -> str:
    """One line that holds all of it; a payload that is not UTF-8 is in `payload_hex` instead."""
    fields = msgspec.structs.asdict(letter)
    payload = fields.pop("payload")
    try:
        fields["payload"] = payload.decode()
    except UnicodeDecodeError:
        fields["payload_hex"] = payload.hex()
    return msgspec.json.encode(fields).decode()


def as_lines(letter: StoredDeadLetter) -> Iterator[str]:
    """All of it, with a field a line and the payload at the end."""
    yield f"id           {letter.id}"
    yield f"received     {_time(letter.received_at)}"
    yield f"status       {letter.status}"
    if letter.replayed_at is not None:
        yield f"replayed     {_time(letter.replayed_at)}"
    yield f"reason       {printable(letter.reason)}"
    yield f"detail       {printable(letter.detail)}"
    for name in ("sqlstate", "tenant", "device", "topic", "correlation_id"):
        value = getattr(letter, name)
        if value is not None:
            yield f"{name.replace('_id', ''):<12} {printable(value)}"
    yield from _payload_lines(letter.payload)


def _payload_lines(payload: bytes) -> Iterator[str]:
    text = _as_text(payload)
    if text is not None:
        yield f"payload      {len(payload)} bytes"
        yield from text.splitlines()
    else:
        yield f"payload      {len(payload)} bytes, in hexadecimal"
        for start in range(0, len(payload), _HEX_BYTES_A_LINE):
            yield payload[start : start + _HEX_BYTES_A_LINE].hex(" ")


def _as_text(payload: bytes) -> str | None:
    """The payload, if it can be shown on a terminal as it is."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return text if text.translate({9: None, 10: None, 13: None}).isprintable() else None


def _time(moment: datetime, precision: str = "microseconds") -> str:
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
