"""One log event as one line of JSON, whatever it holds.

Anything becomes something that JSON can carry: bytes and half surrogate pairs are escaped, NaN and
the infinities are text, cycles and depth end in "…", a failing `str` names its type. A line is
bounded, and credentials in URLs are redacted on the way.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from numbers import Integral, Real

import msgspec

from penstock.settings.secret import redact_urls

_MAX_DEPTH = 6
_MAX_ITEMS = 100
_MAX_CHARACTERS = 16_384
_SAFE_INTEGER = 2**63


def json_line(event: Mapping[str, object]) -> str:
    """The event as a JSON object on one line, without the newline. Never raises."""
    try:
        return msgspec.json.encode(plain(event)).decode("utf-8")
    except Exception as error:  # noqa: BLE001 - a container may fail in any way while it is read
        remainder = {"event": _text_of(event.get("event")), "log_error": _text_of(error)}
        return msgspec.json.encode(remainder).decode("utf-8")


def plain(value: object, depth: int = 0) -> object:
    """`value` made of nothing but what JSON has."""
    result: object
    match value:
        case None | bool():
            result = value
        case Integral():
            result = int(value) if abs(int(value)) < _SAFE_INTEGER else plain_text(hex(value))
        case Real():
            result = float(value) if math.isfinite(value) else str(float(value))
        case str():
            result = plain_text(value)
        case bytes() | bytearray():
            result = plain_text(value.decode("utf-8", "backslashreplace"))
        case Mapping() | list() | tuple() | set() | frozenset() if depth >= _MAX_DEPTH:
            result = "…"
        case Mapping():
            result = _object(value, depth)
        case list() | tuple() | set() | frozenset():
            result = _array(value, depth)
        case _:
            result = _text_of(value)
    return result


def plain_text(text: str) -> str:
    """`text` as valid UTF-8, bounded, with the credentials of URLs redacted."""
    if len(text) > _MAX_CHARACTERS:
        text = text[:_MAX_CHARACTERS] + "…"
    return redact_urls(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _object(value: Mapping[object, object], depth: int) -> dict[str, object]:
    items = {
        _text_of(key): plain(item, depth + 1) for key, item in islice(value.items(), _MAX_ITEMS)
    }
    if len(value) > _MAX_ITEMS:
        items["…"] = len(value) - _MAX_ITEMS
    return items


def _array(value: Iterable[object], depth: int) -> list[object]:
    items = [plain(item, depth + 1) for item in islice(value, _MAX_ITEMS + 1)]
    return items if len(items) <= _MAX_ITEMS else [*items[:_MAX_ITEMS], "…"]


def _text_of(value: object) -> str:
    try:
        # An exception's `str` is often empty or lacks its type.
        return plain_text(repr(value) if isinstance(value, BaseException) else str(value))
    except Exception:  # noqa: BLE001 - a repr may fail in any way, and the log must not
        return f"<{type(value).__name__} that cannot be shown>"
