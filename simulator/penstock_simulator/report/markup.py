"""HTML and SVG as text that is well-formed by construction.

What always holds: text that is not `Markup` is escaped, every element is closed, and the result is
XML as well as HTML, so any parser reads it.
"""

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: object) -> Markup:
    """An element.

    Attributes are written with - for _, and without the _ at their end: `class_`, `stroke_width`.
    Those that are None are left out.
    """
    opening = "".join([name, *_written(attributes)])
    if not content and name in _EMPTY:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{joined(content)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Parts one after the other; those that are no markup yet are escaped."""
    return Markup("".join(p if isinstance(p, Markup) else escape(p, quote=False) for p in parts))


def _written(attributes: dict[str, object]) -> Iterable[str]:
    for name, value in attributes.items():
        if value is not None:
            yield f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'


_EMPTY = frozenset({"br", "line", "link", "meta", "path", "rect"})
