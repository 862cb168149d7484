"""String values: what the database can store, and how long they may be.

JSON lets a string hold NUL, by an escape, and PostgreSQL does not. Halves of surrogate pairs and
bytes that are not UTF-8 never get here: the parser refuses them.
"""

from penstock.errors import Reason, Rejected
from penstock.model import Sample, Value
from penstock.topics.names import quote

ESCAPE = ord("\\")
"""What a payload has to hold for any of its strings to hold NUL: a raw NUL is no valid JSON.

So a payload without it, and no longer than a string may be, needs no `check_texts`.
"""


def check_texts(metrics: dict[str, Value], max_bytes: int) -> None:
    """Refuse strings that hold NUL or are longer than `max_bytes` in UTF-8.

    Errors: `Rejected` with `bad_value`.
    """
    for name, value in metrics.items():
        fault = _fault(value, max_bytes)
        if fault is not None:
            raise Rejected(Reason.BAD_VALUE, f"metric {quote(name)}: {fault}")


def _fault(value: Value, max_bytes: int) -> str | None:
    if isinstance(value, Sample):
        if value.unit is not None and "\0" in value.unit:
            return "the unit holds NUL, which the database cannot store"
        value = value.value
    if isinstance(value, str):
        if "\0" in value:
            return "the string holds NUL, which the database cannot store"
        size_bytes = len(value.encode())
        if size_bytes > max_bytes:
            return f"a string of {size_bytes} bytes, of which {max_bytes} are allowed"
    return None
