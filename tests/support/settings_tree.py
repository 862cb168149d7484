"""The settings as a flat list, for tests that compare the tree with what people read."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from penstock.settings.tree import Route, Settings


class Leaf(NamedTuple):
    path: str
    hint: Any
    default: object


def leaves(section: type = Settings, path: str = "") -> Iterator[Leaf]:
    """Every setting that is not a section, in the order of the tree; routes as `routes[].…`."""
    for field in msgspec.structs.fields(section):
        child = f"{path}.{field.name}" if path else field.name
        if child == "routes":
            yield from leaves(Route, "routes[]")
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from leaves(field.type, child)
        else:
            yield Leaf(child, field.type, field.default)
