"""Settings from the environment, laid over those of the file.

`PENSTOCK_STORAGE__BATCH_ROWS=10000` sets `storage.batch_rows`: the prefix, then the path in
capitals, its levels parted by two underscores. A number is a position in a list:
`PENSTOCK_ROUTES__0__TOPIC`. A value is text and is read by what the setting is; an empty one means
null.

A name that means no setting is an error, as an unknown key in the file is, so that a misspelt
override cannot pass unnoticed. The few prefixes that belong to others are left alone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise

from penstock.settings.document import Listing, Node, Scalar, Table
from penstock.settings.faults import Faults

PREFIX = "PENSTOCK_"
FOREIGN_PREFIXES = (
    "PENSTOCK_TEST_",  # the project's own tests
    "PENSTOCK_SERVICE_",  # Kubernetes sets these three for a service that is named "penstock"
    "PENSTOCK_PORT_",
)
FOREIGN_NAMES = frozenset({"PENSTOCK_PORT"})
SERVICE_HOST = "_SERVICE_HOST"
"""How the name ends that Kubernetes sets, besides others, for each further service."""


def overlay(
    root: Table, environ: Mapping[str, str], faults: Faults, *, ignore: Collection[str] = ()
) -> None:
    """Put every override of `environ` into the tree of `root`, except the names in `ignore`.

    Whether the paths exist is for the conversion to say, which knows the settings.
    """
    for path, name in sorted(_overrides(environ, ignore)):
        if not _is_text(environ[name]):
            faults.add(name, "is not UTF-8")
            continue
        _put(root, [str(level) for _, level in path], _scalar(environ[name], name), faults)


def _overrides(
    environ: Mapping[str, str], ignore: Collection[str]
) -> list[tuple[list[tuple[int, str]], str]]:
    """Path and name of each override; positions in a list sort as numbers."""
    foreign_prefixes = (*FOREIGN_PREFIXES, *_prefixes_of_services(environ))
    return [
        ([_sortable(level) for level in name.removeprefix(PREFIX).lower().split("__")], name)
        for name in environ
        if name.startswith(PREFIX)
        and not name.startswith(foreign_prefixes)
        and name not in FOREIGN_NAMES
        and name not in ignore
    ]


def _prefixes_of_services(environ: Iterable[str]) -> Iterator[str]:
    """How the names begin that Kubernetes sets for services named like us: `penstock-db`, ..."""
    for name in environ:
        if name.startswith(PREFIX) and name.endswith(SERVICE_HOST):
            service = name.removesuffix(SERVICE_HOST)
            yield f"{service}_SERVICE_"
            yield f"{service}_PORT"


def _sortable(level: str) -> tuple[int, str]:
    return (int(level), level) if _is_position(level) else (-1, level)


def _is_position(level: str) -> bool:
    return level.isascii() and level.isdigit() and len(level) <= 4


def _is_text(value: str) -> bool:
    """Whether the variable's bytes were UTF-8; Python keeps others as half surrogate pairs."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _scalar(text: str, name: str) -> Scalar:
    return Scalar(text, name, from_environment=True)


def _put(root: Table, levels: list[str], scalar: Scalar, faults: Faults) -> None:
    node: Table | Listing = root
    for level, following in pairwise(levels):
        child = _child(node, level)
        if isinstance(child, Scalar) and child.from_environment:
            faults.add(_shown(levels), f"{child.where} sets the same, differently", scalar.where)
        if not _fits(child, following):
            child = (
                Listing(scalar.where, []) if _is_position(following) else Table(scalar.where, {})
            )
            if not _set(node, level, child):
                _out_of_reach(node, levels, scalar, faults)
                return
        assert isinstance(child, Table | Listing)
        node = child
    if not _set(node, levels[-1], scalar):
        _out_of_reach(node, levels, scalar, faults)


def _child(node: Table | Listing, level: str) -> Node | None:
    if isinstance(node, Table):
        return node.items.get(level)
    position = int(level)
    return node.items[position] if position < len(node.items) else None


def _fits(child: Node | None, following: str) -> bool:
    return isinstance(child, Listing) if _is_position(following) else isinstance(child, Table)


def _set(node: Table | Listing, level: str, child: Node) -> bool:
    """Set or append `child`; false when its position is beyond the end of a list."""
    if isinstance(node, Table):
        node.items[level] = child
        return True
    position = int(level)
    if position < len(node.items):
        node.items[position] = child
        return True
    if position == len(node.items):
        node.items.append(child)
        return True
    return False


def _out_of_reach(node: Table | Listing, levels: list[str], scalar: Scalar, faults: Faults) -> None:
    count = len(node.items)
    faults.add(_shown(levels), f"the list has {count} entries; the next is {count}", scalar.where)


def _shown(levels: list[str]) -> str:
    path = "".join(f"[{level}]" if _is_position(level) else f".{level}" for level in levels)
    return path.removeprefix(".")
