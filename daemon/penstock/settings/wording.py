"""How an error says what a setting may be, and which one was probably meant."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect


def expectation(hint: Any) -> str:
    """What a value of the type may be, in words: `an integer from 1 to 65535 or null`."""
    info = inspect.type_info(hint)
    parts = info.types if isinstance(info, inspect.UnionType) else (info,)
    return " or ".join(_described(part) for part in parts)


def suggestion(key: str, siblings: Sequence[str], path: str, tree: type) -> str:
    """The tail of an error about a key unknown in `tree`: what was meant, or what there is."""
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {f'{path}.{near[0]}' if path else near[0]}?"
    elsewhere = [
        known
        for known in _leaves(tree, "")
        if known.rpartition(".")[2] == key or known.replace(".", "_") == key
    ]
    if elsewhere:
        return f"; did you mean {elsewhere[0]}?"
    return f"; known here: {', '.join(siblings)}"


def _described(info: inspect.Type) -> str:
    match info:
        case inspect.NoneType():
            words = "null"
        case inspect.BoolType():
            words = "true or false"
        case inspect.IntType():
            words = "an integer" + _range(info)
        case inspect.FloatType():
            words = "a number" + _range(info)
        case inspect.LiteralType():
            words = "one of " + ", ".join(str(value) for value in info.values)
        case inspect.StrType():
            words = _text(info)
        case inspect.Metadata(extra={"words": str(own)}):
            words = own
        case _:
            # The tree has no other leaf; whoever adds one gives it words here.
            raise TypeError(info)
    return words


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    signs = ((">=", info.ge), (">", info.gt), ("<=", info.le))
    bounds = [f"{sign} {bound}" for sign, bound in signs if bound is not None]
    return " " + " and ".join(bounds) if bounds else ""


def _text(info: inspect.StrType) -> str:
    if info.max_length is not None:
        return f"text of {info.min_length or 0} to {info.max_length} characters"
    return "non-empty text" if info.min_length else "text"


def _leaves(section: type, path: str) -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        child = f"{path}.{field.name}" if path else field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _leaves(field.type, child)
        else:
            yield child
