"""From a tree of nodes to the typed tree of settings, gathering every fault on the way.

msgspec stops at the first error, so this module walks the tree itself and lets msgspec judge one
value at a time. Where something is wrong the default takes its place, so that the walk and the
checks after it can go on; `Faults` then keeps the result from being used.
"""

from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, inspect

from penstock.settings.document import Listing, Node, Scalar, Table
from penstock.settings.faults import Faults, shown
from penstock.settings.secret import Secret
from penstock.settings.secret_sources import FORMS, SecretSources, Unavailable
from penstock.settings.tree import Settings
from penstock.settings.wording import expectation, suggestion

Tree = TypeVar("Tree", bound=msgspec.Struct)


def to_settings(root: Node, faults: Faults, secrets: SecretSources) -> Settings:
    """The settings that `root` says; what it does not mention has its default."""
    return to_tree(Settings, root, faults, secrets) or Settings()


def to_tree(cls: type[Tree], root: Node, faults: Faults, secrets: SecretSources) -> Tree | None:
    """What `root` says as a struct of any kind; None if it is no section.

    Required fields are None where they are faulty, so structs must not look at them when they are
    made: what contradicts what is for the caller to say.
    """
    tree = _Converter(cls, faults, secrets).convert(cls, root, "", None)
    return tree if isinstance(tree, cls) else None


class _Converter:
    """Converts node by node; `default` is what a faulty value is replaced by."""

    def __init__(self, tree: type, faults: Faults, secrets: SecretSources) -> None:
        self._tree = tree
        self._faults = faults
        self._secrets = secrets

    def convert(self, hint: Any, node: Node, path: str, default: object) -> object:
        """The value that `node` gives a setting of the type `hint`."""
        kind = _kind(hint)
        if isinstance(kind, inspect.StructType):
            return self._section(kind.cls, node, path, default)
        if _is_null(node) and _nullable(hint):
            return None
        if _is_secret(kind):
            return self._secret(hint, node, path, default)
        if isinstance(kind, inspect.VarTupleType):
            return self._list(hint, node, path, default)
        return self._leaf(hint, kind, node, path, default)

    def _section(self, cls: type, node: Node, path: str, default: object) -> object:
        if _is_null(node):
            # A heading all of whose keys are commented out.
            node = Table(node.where, {})
        if not isinstance(node, Table):
            self._faults.add(path, f"expected a section, got {_shown(node)}", node.where)
            return default
        fields = {field.name: field for field in msgspec.structs.fields(cls)}
        self._refuse_unknown(node, list(fields), path)
        values = {}
        for name, field in fields.items():
            child_path = f"{path}.{name}" if path else name
            field_default = None if field.default is NODEFAULT else field.default
            if name in node.items:
                values[name] = self.convert(field.type, node.items[name], child_path, field_default)
            else:
                values[name] = field_default
                if field.required:
                    self._faults.add(child_path, "is required", node.where)
        return cls(**values)

    def _refuse_unknown(self, table: Table, known: list[str], path: str) -> None:
        for key, child in table.items.items():
            if key not in known:
                child_path = f"{path}.{key}" if path else key
                hint = suggestion(key, known, path, self._tree)
                self._faults.add(child_path, f"unknown key{hint}", child.where)

    def _list(self, hint: Any, node: Node, path: str, default: object) -> object:
        if not isinstance(node, Listing):
            self._faults.add(path, f"expected a list, got {_shown(node)}", node.where)
            return default
        item_hint = _item_hint(hint)
        items = [
            self.convert(item_hint, item, f"{path}[{position}]", None)
            for position, item in enumerate(node.items)
        ]
        minimum = _kind(hint).min_length or 0
        if len(items) < minimum:
            self._faults.add(path, f"expected at least {minimum}, got {len(items)}", node.where)
            return default
        return tuple(item for item in items if item is not None)

    def _secret(self, hint: Any, node: Node, path: str, default: object) -> object:
        if isinstance(node, Table):
            try:
                return self._secrets.read(node)
            except Unavailable as error:
                self._faults.add(path, str(error), node.where)
                return default
        if isinstance(node, Scalar) and node.from_environment:
            return Secret(node.text)
        if isinstance(node, Scalar) and _may_be_literal(hint):
            return self._secrets.literal(node.text)
        self._faults.add(
            path, f"a secret does not stand in this file as it is: use {FORMS}", node.where
        )
        return default

    def _leaf(
        self, hint: Any, kind: inspect.Type, node: Node, path: str, default: object
    ) -> object:
        if isinstance(node, Scalar):
            value = node.text if _wants_text(kind) and not _is_null(node) else node.value
            try:
                return msgspec.convert(value, hint, strict=not node.from_environment)
            except msgspec.ValidationError:
                pass
        problem = f"expected {expectation(hint)}, got {_shown(node)}"
        if isinstance(node, Table) and _wants_text(kind):
            problem += '; put text that begins with "{" in quotes'
        self._faults.add(path, problem, node.where)
        return default


def _kind(hint: Any) -> Any:
    """What msgspec says of the type itself, without its `| None` and without our own remarks."""
    info = _remarked(hint)
    return info.type if isinstance(info, inspect.Metadata) else info


def _remarked(hint: Any) -> inspect.Type:
    info = inspect.type_info(hint)
    if isinstance(info, inspect.UnionType):
        (info,) = (part for part in info.types if not isinstance(part, inspect.NoneType))
    return info


def _nullable(hint: Any) -> bool:
    info = inspect.type_info(hint)
    return isinstance(info, inspect.UnionType) and info.includes_none


def _is_secret(kind: Any) -> bool:
    return isinstance(kind, inspect.CustomType) and kind.cls is Secret


def _may_be_literal(hint: Any) -> bool:
    """Whether the tree marks the secret as one that may stand in the file, as a DSN may."""
    info = _remarked(hint)
    return isinstance(info, inspect.Metadata) and bool((info.extra or {}).get("literal"))


def _wants_text(kind: Any) -> bool:
    return isinstance(kind, inspect.StrType) or (
        isinstance(kind, inspect.LiteralType) and all(isinstance(v, str) for v in kind.values)
    )


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _shown(node: Node) -> str:
    match node:
        case Table():
            return "a section"
        case Listing():
            return "a list"
        case Scalar():
            return shown(node.value)


def _item_hint(hint: Any) -> Any:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_args(hint)[0]
