"""What is wrong with a configuration: collected, not raised, so that one run shows it all."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from penstock.errors import ConfigError
from penstock.settings.secret import redact_urls

_SHOWN_CHARACTERS = 80


class Fault(NamedTuple):
    """One thing to mend."""

    path: str
    """Dotted path of the setting, such as `mqtt.receive_maximum` or `routes[1].topic`."""
    problem: str
    where: str = ""
    """A line of the file, or the name of an environment variable."""

    def __str__(self) -> str:
        text = f"{self.path}: {self.problem}" if self.path else self.problem
        return f"{text} ({self.where})" if self.where else text


class Faults:
    """The faults found so far, in the order found."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, path: str, problem: str, where: str = "") -> None:
        """Note a fault; `problem` must not hold a secret."""
        self._faults.append(Fault(path, problem, where))

    def concern(self, paths: Iterable[str]) -> bool:
        """Whether any of `paths` has a fault already."""
        return not {fault.path for fault in self._faults}.isdisjoint(paths)

    def within(self, path: str) -> bool:
        """Whether `path`, or anything below it, has a fault already."""
        below = (f"{path}.", f"{path}[")
        return any(fault.path == path or fault.path.startswith(below) for fault in self._faults)

    def locate(self, places: Mapping[str, str]) -> None:
        """Say of each fault that has no place where its setting stands, or the section it is in."""
        self._faults = [
            fault if fault.where else fault._replace(where=_place(fault.path, places))
            for fault in self._faults
        ]

    def raise_if_any(self, source: str) -> None:
        """Raise one `ConfigError` that names every fault, if there is one."""
        if not self._faults:
            return
        count = len(self._faults)
        heading = f"{source}: {count} {'error' if count == 1 else 'errors'}"
        raise ConfigError("\n".join([heading, *(f"  {fault}" for fault in self._faults)]))


def _place(path: str, places: Mapping[str, str]) -> str:
    while path and path not in places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return places.get(path, "")


def shown(value: object) -> str:
    """`value` as an error may quote it: short, on one line, without the credentials of a URL."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    text = redact_urls(value)
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "…"
    return '"' + text.encode("unicode_escape").decode("ascii") + '"'
