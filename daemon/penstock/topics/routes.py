"""What can be wrong with the configured routes, all told at once.

A route on its own: its template, the names it fixes, and options that belong to another format.
The routes together: one that can never be reached, because an earlier one takes all its topics.
"""

from collections.abc import Iterator, Sequence

from penstock.settings.faults import Faults
from penstock.settings.tree import Limits, Route
from penstock.topics.filters import covers
from penstock.topics.names import check_name, quote
from penstock.topics.template import (
    PLACEHOLDERS,
    compile_template,
    placeholders,
    template_faults,
)

Problem = tuple[str, str]
"""Which setting of the route, and what is wrong with it."""


def check_routes(routes: Sequence[Route], limits: Limits) -> None:
    """Check what the types of the settings cannot express.

    Errors: `ConfigError` that names every fault with its path.
    """
    faults = Faults()
    add_route_faults(routes, limits, faults)
    faults.raise_if_any("routes")


def add_route_faults(routes: Sequence[Route], limits: Limits, faults: Faults) -> None:
    """Add to `faults` whatever the types of the settings cannot express."""
    filters: dict[int, str] = {}
    for position, route in enumerate(routes):
        if not template_faults(route.topic):
            filters[position] = compile_template(route.topic).filter
        for setting, problem in _problems(route, limits):
            faults.add(f"routes[{position}].{setting}", problem)
    for position, taker in _unreachable(filters):
        faults.add(
            f"routes[{position}].topic",
            f"never reached: routes[{taker}], {quote(routes[taker].topic)}, takes all its topics",
        )


def _problems(route: Route, limits: Limits) -> Iterator[Problem]:
    for problem in template_faults(route.topic):
        yield "topic", problem
    in_topic = placeholders(route.topic)
    for part in PLACEHOLDERS:
        fixed: str | None = getattr(route, part)
        if fixed is not None and (fault := check_name(fixed, limits.name_characters)):
            yield part, f"{quote(fixed)} {fault}"
        yield from _source_problems(route, part, fixed=fixed is not None, placed=part in in_topic)
    yield from _path_problems(route)


def _source_problems(route: Route, part: str, *, fixed: bool, placed: bool) -> Iterator[Problem]:
    """Each name has to come from one place: the topic, the route, or for metrics the payload."""
    if part == "metric" and route.format != "scalar":
        if fixed or placed:
            yield (
                part if fixed else "topic",
                f"format {route.format} has its metrics in the payload; only scalar needs one",
            )
    elif fixed and placed:
        yield part, f"set here and as {{{part}}} in the topic; one of the two has to go"
    elif not fixed and not placed:
        yield "topic", f"{{{part}}} is missing, and the route sets no fixed {part} instead"


def _path_problems(route: Route) -> Iterator[Problem]:
    timestamp_path, ignored = route.timestamp_path, route.ignore_paths
    if route.format != "flat":
        if timestamp_path is not None:
            yield "timestamp_path", "is for format flat only"
        if ignored:
            yield "ignore_paths", "is for format flat only"
        return
    paths = {f"ignore_paths[{position}]": path for position, path in enumerate(ignored)}
    if timestamp_path is not None:
        paths["timestamp_path"] = timestamp_path
        if any(f"{timestamp_path}.".startswith(f"{path}.") for path in ignored):
            yield "timestamp_path", f"{quote(timestamp_path)} is among the ignore_paths"
    for setting, path in paths.items():
        if not all(path.split(".")):
            yield setting, f"{quote(path)} is not a dotted path such as time.utc"


def _unreachable(filters: dict[int, str]) -> Iterator[tuple[int, int]]:
    """Routes that are never reached, each with the first that stands in its way."""
    for position, own in filters.items():
        for earlier, other in filters.items():
            if earlier < position and covers(other, own):
                yield position, earlier
                break
