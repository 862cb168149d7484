"""Reads scenarios: those that are shipped, by name, and others, by path.

Every fault of a file is told at once, with its path and its line; nothing half-read is returned.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penstock.errors import ConfigError
from penstock.settings.conversion import to_tree
from penstock.settings.document import places, read_document
from penstock.settings.faults import Faults
from penstock.settings.secret_sources import SecretSources
from penstock_simulator.disturbance import Disturbance, fault_in
from penstock_simulator.ramping import Ramping
from penstock_simulator.scenario import Group, Scenario

SUFFIX = ".yaml"


class Found(NamedTuple):
    """A scenario and what it is called."""

    name: str
    scenario: Scenario


def shipped() -> list[Found]:
    """All scenarios that come with the simulator, by name."""
    return [find(path.stem) for path in sorted(_folder().glob(f"*{SUFFIX}"))]


def find(name: str) -> Found:
    """A shipped scenario by its name, or one of somebody's own by the path of its file.

    Raises:
        ConfigError: there is none, or it has faults; the text names every one.
    """
    path = Path(name)
    if path.suffix not in (SUFFIX, ".yml"):
        path = _folder() / f"{name}{SUFFIX}"
        if "/" in name or not path.exists():
            names = ", ".join(sorted(known.stem for known in _folder().glob(f"*{SUFFIX}")))
            raise ConfigError(
                f"there is no scenario {name}: give the path of a {SUFFIX} file, or one of {names}"
            )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    return Found(path.stem, parse(text, str(path)))


def parse(text: str, source: str) -> Scenario:
    """The scenario in YAML `text`; `source` names it in errors.

    Raises:
        ConfigError: it has faults; the text names every one.
    """
    faults = Faults()
    root = read_document(text, faults)
    scenario = to_tree(Scenario, root, faults, SecretSources({}))
    if scenario is not None:
        _check_groups(scenario, faults)
        _check_ramp(scenario.ramp, faults)
        _check_disturbances(scenario.disturbances, faults)
    faults.locate(places(root))
    faults.raise_if_any(source)
    assert scenario is not None
    return scenario


def _folder() -> Path:
    """In the package, or in a checkout beside it."""
    package = Path(__file__).parent
    installed = package / "scenarios"
    return installed if installed.exists() else package.parent / "scenarios"


def _check_ramp(ramping: Ramping | None, faults: Faults) -> None:
    if ramping is not None and not faults.within("ramp") and ramping.fault:
        faults.add("ramp", ramping.fault)


def _check_disturbances(disturbances: Sequence[Disturbance], faults: Faults) -> None:
    if faults.within("disturbances"):
        return
    found = fault_in(disturbances)
    if found is not None:
        position, fault = found
        faults.add(f"disturbances[{position}]", fault)


def _check_groups(scenario: Scenario, faults: Faults) -> None:
    names: set[str] = set()
    routes: list[tuple[str, dict[str, Any]]] = []
    for position, group in enumerate(scenario.groups or ()):
        path = f"groups[{position}]"
        if faults.within(path):
            continue
        if group.name in names:
            faults.add(f"{path}.name", f"there is a group {group.name} before it")
        names.add(group.name)
        route = _route_of(group, path, faults)
        if route is not None:
            routes.append((path, route))
    _check_routes(routes, faults)


def _route_of(group: Group, path: str, faults: Faults) -> dict[str, Any] | None:
    """The route that a group needs, or none when it cannot be had."""
    try:
        group.pace(group.rate)
    except ValueError as error:
        faults.add(f"{path}.bursts", str(error))
    try:
        fleet = group.fleet(rate=group.rate, seed=0, tenant_tag="0", start_us=0)
    except ValueError as error:
        faults.add(path, str(error))
        return None
    return fleet.route


def _check_routes(routes: list[tuple[str, dict[str, Any]]], faults: Faults) -> None:
    """No message of one group may be taken for one of another."""
    for number, (path, route) in enumerate(routes):
        for before, other in routes[:number]:
            if route != other and _overlap(route["topic"], other["topic"]):
                faults.add(f"{path}.topic", f"{before} reads the same messages in another way")


def _overlap(one: str, other: str) -> bool:
    levels = list(_levels(one)), list(_levels(other))
    return len(levels[0]) == len(levels[1]) and all(
        None in pair or pair[0] == pair[1] for pair in zip(*levels, strict=True)
    )


def _levels(topic: str) -> Iterator[str | None]:
    """The levels of a topic; None for one that can be anything."""
    for level in topic.split("/"):
        yield None if level == "+" or "{" in level else level
