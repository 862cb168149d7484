"""Names the metric that a parser's error is about.

msgspec writes the path of a dictionary's member as `[...]`. People want its name.
"""

import re
from collections.abc import Callable

import msgspec

from penstock.topics.names import quote

Accepts = Callable[[msgspec.Raw], object]
"""Decodes one value, or raises as the parser did."""

_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]|\[\.\.\.\]")


def locate(payload: bytes, path: str, accepts: Accepts) -> str:
    """`path` with its first `[...]` replaced by the name of the member that `accepts` refuses.

    Members below that one keep their `[...]`; so does a path that does not lead there, because the
    payload is broken elsewhere too or holds the name twice.
    """
    try:
        name = _name_in(payload, path, accepts)
    except (msgspec.MsgspecError, RecursionError, LookupError):
        return path
    return path.replace("[...]", f"[{quote(name)}]", 1)


def _name_in(payload: bytes, path: str, accepts: Accepts) -> str:
    raw = msgspec.Raw(payload)
    for step in _STEP.finditer(path):
        if step["field"]:
            raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[step["field"]]
        elif step["index"]:
            raw = msgspec.json.decode(raw, type=list[msgspec.Raw])[int(step["index"])]
        else:
            return _first_refused(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]), accepts)
    raise LookupError(path)


def _first_refused(members: dict[str, msgspec.Raw], accepts: Accepts) -> str:
    for name, raw in members.items():
        try:
            accepts(raw)
        except (msgspec.MsgspecError, RecursionError):
            return name
    raise LookupError
