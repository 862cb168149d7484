"""YAML text as a tree of nodes that remember where they stand.

A scalar keeps its own text, so that what is meant as text is taken as written (`tenant: 007` stays
"007", `protocol: 5` is "5") whatever YAML would make of it. Plain scalars are read by the core
schema of YAML 1.2 (§10.3): `yes`, `on`, `1:30` and `2024-01-01` are text.

Anchors, aliases, merge keys and tags are refused: a configuration says what it means where it
stands. This module knows nothing of the settings themselves.
"""

import math
import re

import msgspec
import yaml

from penstock.settings.faults import Faults

_INTEGER = re.compile(r"[-+]?[0-9](?:_?[0-9]){0,29}")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_UNQUOTED_TEMPLATE = re.compile(r":\s+\{\w+\}.")
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class Scalar(msgspec.Struct, frozen=True):
    """One value."""

    text: str
    where: str
    quoted: bool = False
    """Whether it is text and nothing else."""
    from_environment: bool = False
    """Where a secret may stand as it is and `1` is true; in a file neither holds."""

    @property
    def value(self) -> bool | int | float | str | None:
        """What the text means by itself."""
        if self.quoted:
            return self.text
        if self.text in _WORDS:
            return _WORDS[self.text]
        if _INTEGER.fullmatch(self.text):
            return int(self.text)
        if _NUMBER.fullmatch(self.text) and math.isfinite(float(self.text)):
            return float(self.text)
        return self.text


class Table(msgspec.Struct):
    """A mapping."""

    where: str
    items: dict[str, "Node"] = {}


class Listing(msgspec.Struct):
    """A sequence."""

    where: str
    items: list["Node"] = []


Node = Scalar | Table | Listing


def read_document(text: str, faults: Faults) -> Node:
    """The tree of the single YAML document in `text`; an empty one is an empty table.

    What is not YAML at all, and what this module refuses, goes to `faults`.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        return Table(where="") if root is None else _Reader(faults).node(root, "")
    except yaml.MarkedYAMLError as error:
        problem = f"not valid YAML: {_described(error)}{_hint(error, text)}"
        faults.add("", problem, _line(error.problem_mark))
    except yaml.YAMLError as error:
        faults.add("", f"not valid YAML: {' '.join(str(error).split())}")
    except RecursionError:
        faults.add("", "not valid YAML: nested too deeply")
    return Table(where="")


def places(node: Node, path: str = "") -> dict[str, str]:
    """Where everything in a tree stands, by its dotted path."""
    found = {path: node.where} if path else {}
    if isinstance(node, Table):
        for key, child in node.items.items():
            found |= places(child, f"{path}.{key}" if path else key)
    elif isinstance(node, Listing):
        for position, child in enumerate(node.items):
            found |= places(child, f"{path}[{position}]")
    return found


class _Loader(yaml.SafeLoader):
    """Refuses aliases; scalars keep their text, since only the node tree is used."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # absent from the stubs
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(
                None,
                None,
                "anchors and aliases are not supported: repeat the value",
                event.start_mark,
            )
        return super().compose_node(parent, index)


# Plain scalars stay text here; `Scalar.value` reads them, by other rules than PyYAML's.
_Loader.yaml_implicit_resolvers = {}


class _Reader:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def node(self, node: yaml.Node, path: str) -> Node:
        where = _line(node.start_mark)
        if node.tag not in _TAGS:
            self._faults.add(path, f"the tag {node.tag} is not supported", where)
        if isinstance(node, yaml.MappingNode):
            return Table(where, self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            children = enumerate(node.value)
            return Listing(where, [self.node(child, f"{path}[{i}]") for i, child in children])
        assert isinstance(node, yaml.ScalarNode)
        return Scalar(str(node.value), where, quoted=node.style is not None)

    def _items(self, node: yaml.MappingNode, path: str) -> dict[str, Node]:
        items: dict[str, Node] = {}
        lines: dict[str, str] = {}
        for key_node, value_node in node.value:
            where = _line(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._faults.add(path, "a key must be a plain word", where)
                continue
            key = str(key_node.value)
            child_path = f"{path}.{key}" if path else key
            if key in items:
                self._faults.add(child_path, f"appears twice, first on {lines[key]}", where)
                continue
            items[key] = self.node(value_node, child_path)
            lines[key] = where
        return items


def _described(error: yaml.MarkedYAMLError) -> str:
    return " ".join(part for part in (error.context, error.problem) if part)


def _hint(error: yaml.MarkedYAMLError, text: str) -> str:
    """For the one mistake that templates of topics invite: `topic: {tenant}/{device}`."""
    lines = text.splitlines()
    number = error.problem_mark.line if error.problem_mark else len(lines)
    if number < len(lines) and _UNQUOTED_TEMPLATE.search(lines[number]):
        return '; put text that begins with "{" in quotes'
    return ""


def _line(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}" if mark else ""
