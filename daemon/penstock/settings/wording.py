"""How an error says what a setting may be, and which one was probably meant."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from penstock.settings.tree import Settings


def expectation(hint: Any) -> str:
    """What a value of the type may be, in words: `an integer from 1 to 65535 or null`."""
    info = inspect.type_info(hint)
    if isinstance(info, inspect.UnionType):
        return " or ".join(_described(part) for part in info.types)
    return _described(info)


def suggestion(key: str, siblings: Sequence[str], path: str) -> str:
    """The tail of an error about an unknown key: what was probably meant, or what there is."""
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {f'{path}.{near[0]}' if path else near[0]}?"
    elsewhere = [
        known
        for known in _leaves(Settings, "")
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
            words = "text" + _form(info)
        case _:
            # The tree has no other leaf; whoever adds one gives it words here.
            raise TypeError(info)
    return words


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    if info.ge is not None:
        return f" >= {info.ge}"
    if info.gt is not None:
        return f" > {info.gt}"
    return ""


def _form(info: inspect.StrType) -> str:
    parts = []
    if info.min_length:
        parts.append(f"of at least {info.min_length} character{'s' * (info.min_length > 1)}")
    if info.max_length is not None:
        parts.append(f"of at most {info.max_length} characters")
    if info.pattern is not None:
        parts.append(f"that matches {info.pattern}")
    return " " + " and ".join(parts) if parts else ""


def _leaves(section: type, path: str) -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        child = f"{path}.{field.name}" if path else field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _leaves(field.type, child)
        else:
            yield child
