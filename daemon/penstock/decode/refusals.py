"""Why a payload cannot be decoded: every error of the JSON parser as a `Rejected`, in one place.

Nothing here runs for a good message. Looking closer at a bad one takes time in proportion to its
size.
"""

import re

import msgspec

from penstock.decode.location import Accepts, locate
from penstock.decode.timestamps import EXPECTED_TIMESTAMP
from penstock.errors import Reason, Rejected
from penstock.settings.tree import Limits

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it cannot decode; the last two are not its own family."""

EXPECTED_NUMBER = "expected a number within the range of a double"

_MAX_DETAIL_CHARACTERS = 300
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_MISFITS = (
    (re.compile(r"out of range - at `.*\.ts`$"), Reason.TIMESTAMP_OUT_OF_RANGE, ""),
    (re.compile(r"\.ts`$"), Reason.BAD_TIMESTAMP, EXPECTED_TIMESTAMP),
    (re.compile(r"out of range( - at `.*\[\.\.\.\].*)?$"), Reason.BAD_VALUE, EXPECTED_NUMBER),
    (re.compile(r" - at `.*\[\.\.\.\]"), Reason.BAD_VALUE, ""),
    (re.compile(r""), Reason.MALFORMED, ""),
)
"""What msgspec says of JSON that does not fit a type, the first that is found deciding.

It ends in the path of what does not fit, unless that is the whole; `[...]` in it is a metric.
"""

_CONTAINER = re.compile("got `(array|object)`")
_BRACKETS_OUTSIDE_STRINGS = re.compile(
    rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL
)
_ESCAPES = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}
        | (u[dD][89a-fA-F][0-9a-fA-F]{2})
        | .
    )""",
    re.DOTALL | re.VERBOSE,
)
"""Surrogate pairs, halves of one (the group), and all other escapes."""


def too_large(size_bytes: int, limits: Limits) -> Rejected:
    """The refusal of a payload over the limit."""
    return Rejected(
        Reason.PAYLOAD_TOO_LARGE, f"{size_bytes} bytes, of which {limits.payload_bytes} are allowed"
    )


def too_many(count: int, limits: Limits) -> Rejected:
    """The refusal of a message with too many readings."""
    return Rejected(
        Reason.TOO_MANY_METRICS, f"{count} readings, of which {limits.metrics} are allowed"
    )


def too_deep(limits: Limits) -> Rejected:
    """The refusal of a payload that nests too deep."""
    return Rejected(
        Reason.TOO_DEEP, f"objects or arrays nest deeper than {limits.depth}, which is allowed"
    )


def unreadable(error: Exception, payload: bytes, limits: Limits, accepts: Accepts) -> Rejected:
    """The refusal of a payload for which the parser raised one of `UNREADABLE`.

    `accepts` decodes the value of a metric; it serves to name the one that could not be decoded.
    """
    fault = _encoding_fault(payload)
    if fault is not None:
        return Rejected(Reason.BAD_ENCODING, fault)
    if isinstance(error, RecursionError):
        return too_deep(limits)
    if not isinstance(error, msgspec.ValidationError):
        return _broken(str(error), payload)
    message = str(error)
    # A container where none belongs stops the parser before it gets to see how deep it is.
    if _CONTAINER.search(message) and _nests_deeper_than(limits.depth, payload):
        return too_deep(limits)
    return _misfit(message, payload, accepts)


def _encoding_fault(payload: bytes) -> str | None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None


def _nests_deeper_than(limit: int, payload: bytes) -> bool:
    depth = 0
    for token in _BRACKETS_OUTSIDE_STRINGS.finditer(payload):
        if token[1]:
            depth += 1
            if depth > limit:
                return True
        elif token[2]:
            depth -= 1
    return False


def _misfit(message: str, payload: bytes, accepts: Accepts) -> Rejected:
    """JSON of another shape than the format's."""
    reason, hint = next(
        (reason, hint) for pattern, reason, hint in _MISFITS if pattern.search(message)
    )
    what, _, where = message.partition(" - at ")
    parts = [locate(payload, where.strip("`"), accepts) if where else "", what, hint]
    return Rejected(reason, ": ".join(filter(None, parts))[:_MAX_DETAIL_CHARACTERS])


def _broken(message: str, payload: bytes) -> Rejected:
    """Not JSON."""
    if not payload.strip():
        return Rejected(Reason.MALFORMED, "the payload is empty, expected JSON")
    if payload.startswith(_BYTE_ORDER_MARK):
        return Rejected(Reason.MALFORMED, "begins with a byte order mark (RFC 8259 §8.1)")
    if any(escape[1] for escape in _ESCAPES.finditer(payload)):
        return Rejected(Reason.BAD_ENCODING, "an escape names half of a surrogate pair")
    return Rejected(Reason.MALFORMED, message[:_MAX_DETAIL_CHARACTERS])
