"""Batches of a spool as lines of JSON. Pure."""

from collections.abc import Iterator

import msgspec

from penstock.cli.output import rfc3339
from penstock.model import DeadLetter
from penstock.spool.codec import Contents


def lines_of(contents: Contents) -> Iterator[str]:
    """A line for each reading and each dead letter."""
    numbers, texts = contents.numbers, contents.texts
    for series, ts_us, number, quality in zip(
        numbers.series.tolist(),
        numbers.ts_us.tolist(),
        numbers.value.tolist(),
        numbers.quality.tolist(),
        strict=True,
    ):
        yield _line({**_names(contents, series, ts_us), "value": number, "quality": quality})
    for series, ts_us, text in zip(
        texts.series.tolist(), texts.ts_us.tolist(), texts.value, strict=True
    ):
        yield _line({**_names(contents, series, ts_us), "value": _storable(text)})
    for letter in contents.dead_letters:
        yield _line(_fields(letter))


def _names(contents: Contents, series: int, ts_us: int) -> dict[str, object]:
    key, _ = contents.keys[series]
    return {**{name: _storable(text) for name, text in key._asdict().items()}, "ts": rfc3339(ts_us)}


def _fields(letter: DeadLetter) -> dict[str, object]:
    fields: dict[str, object] = {"reason": letter.reason, "received": rfc3339(letter.received_us)}
    for name in ("detail", "tenant", "device", "topic", "sqlstate", "correlation_id"):
        text = getattr(letter, name)
        if text is not None:
            fields[name] = _storable(text)
    try:
        fields["payload"] = letter.payload.decode()
    except UnicodeDecodeError:
        fields["payload_hex"] = letter.payload.hex()
    return fields


def _storable(text: str) -> str:
    """Halves of surrogate pairs escaped, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def _line(fields: dict[str, object]) -> str:
    return msgspec.json.encode(fields).decode()
