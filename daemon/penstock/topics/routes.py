"""What can be wrong with the configured routes, all told at once.

A route on its own: its template, the names it fixes, and options that belong to another format.
The routes together: one that can never be reached, because an earlier one takes all its topics.
"""

from collections.abc import Iterator, Sequence

from penstock.settings.tree import Limits, Route
from penstock.topics.filters import covers
from penstock.topics.names import check_name, quote
from penstock.topics.template import (
    PLACEHOLDERS,
    compile_template,
    placeholders,
    template_faults,
)

_NO_PATH = "is not a dotted path such as time.utc"


def routes_faults(routes: Sequence[Route], limits: Limits) -> list[str]:
    """Every fault of the routes, each opening with the path of its setting."""
    faults = [
        f"routes[{position}].{fault}"
        for position, route in enumerate(routes)
        for fault in _route_faults(route, limits)
    ]
    return faults or list(_unreachable(routes))


def _route_faults(route: Route, limits: Limits) -> Iterator[str]:
    for fault in template_faults(route.topic):
        yield f"topic: {fault}"
    yield from _name_faults(route, limits)
    yield from _option_faults(route)


def _name_faults(route: Route, limits: Limits) -> Iterator[str]:
    in_topic = placeholders(route.topic)
    needed = PLACEHOLDERS if route.format == "scalar" else PLACEHOLDERS[:2]
    for part in PLACEHOLDERS:
        fixed: str | None = getattr(route, part)
        if fixed is not None and (fault := check_name(fixed, limits.name_characters)):
            yield f"{part}: {quote(fixed)} {fault}"
        if fixed is not None and part in in_topic:
            yield f"{part}: set here and as {{{part}}} in the topic; one of the two has to go"
        if fixed is None and part not in in_topic and part in needed:
            yield f"topic: {{{part}}} is missing, and the route has no fixed `{part}` instead"
        if part not in needed and (fixed is not None or part in in_topic):
            yield (
                f"{part if fixed is not None else 'topic'}: a {part} from outside the payload"
                f" is for format scalar; format {route.format} has its names in the payload"
            )


def _option_faults(route: Route) -> Iterator[str]:
    timestamp_path, ignored = route.timestamp_path, route.ignore_paths
    if route.format != "flat":
        if timestamp_path is not None:
            yield "timestamp_path: is for format flat only"
        if ignored:
            yield "ignore_paths: is for format flat only"
        return
    if timestamp_path is not None:
        if not all(timestamp_path.split(".")):
            yield f"timestamp_path: {quote(timestamp_path)} {_NO_PATH}"
        if any(f"{timestamp_path}.".startswith(f"{path}.") for path in ignored):
            yield f"timestamp_path: {quote(timestamp_path)} is among the ignore_paths"
    for position, path in enumerate(ignored):
        if not all(path.split(".")):
            yield f"ignore_paths[{position}]: {quote(path)} {_NO_PATH}"


def _unreachable(routes: Sequence[Route]) -> Iterator[str]:
    filters = [compile_template(route.topic).filter for route in routes]
    for position, own in enumerate(filters):
        for earlier, other in enumerate(filters[:position]):
            if covers(other, own):
                yield (
                    f"routes[{position}].topic: never reached, because routes[{earlier}]"
                    f" ({quote(routes[earlier].topic)}) takes all its topics"
                )
                break
