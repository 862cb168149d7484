"""Topic to origin: which route takes a topic, and the names that its template takes out of it.

The router is pure: it keeps nothing between calls. The first route in the order of the
configuration that matches a topic takes it, even when a name in it turns out not to be valid.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from penstock.errors import Reason, Rejected
from penstock.model import Origin
from penstock.settings.tree import Limits, Route
from penstock.topics.filters import widest
from penstock.topics.names import check_name, quote
from penstock.topics.routes import check_routes
from penstock.topics.template import PLACEHOLDERS, compile_template

# Never in a topic name: NUL (MQTT 5 §1.5.4), wildcards (§4.7.1), and what stands for bad UTF-8.
_NOT_IN_TOPICS = re.compile("[\\x00+#\ud800-\udfff\ufffd]")


class _Compiled(NamedTuple):
    pattern: re.Pattern[str]
    fixed: dict[str, str]


class Router:
    """The routes, compiled once.

    Errors: `ConfigError` that names every fault of every route with its path.
    """

    def __init__(self, routes: Sequence[Route], limits: Limits) -> None:
        check_routes(routes, limits)
        self.name_characters = limits.name_characters
        """Longest name allowed, in topics and payloads alike."""
        templates = [compile_template(route.topic) for route in routes]
        self._routes = [
            _Compiled(template.pattern, _fixed_names(route))
            for template, route in zip(templates, routes, strict=True)
        ]
        self.filters = widest(template.filter for template in templates)
        """MQTT topic filters to subscribe to, none covered by another, in the order of the
        routes.
        """

    def resolve(self, topic: str) -> Origin:
        """Say where messages of `topic` come from.

        Errors: `Rejected` with `bad_topic` or `unknown_route`.
        """
        if not topic or _NOT_IN_TOPICS.search(topic):
            raise Rejected(Reason.BAD_TOPIC, f"topic {quote(topic)} is not a valid topic name")
        for position, (pattern, fixed) in enumerate(self._routes):
            match = pattern.fullmatch(topic)
            if match is not None:
                names = match.groupdict()
                self._check_names(topic, names)
                return Origin(position, **fixed, **names)
        raise Rejected(Reason.UNKNOWN_ROUTE, f"no route takes topic {quote(topic)}")

    def _check_names(self, topic: str, names: dict[str, str]) -> None:
        for part, name in names.items():
            fault = check_name(name, self.name_characters)
            if fault is not None:
                raise Rejected(Reason.BAD_TOPIC, f"{part} {fault} in topic {quote(topic)}")


def _fixed_names(route: Route) -> dict[str, str]:
    fixed = {part: getattr(route, part) for part in PLACEHOLDERS}
    return {part: name for part, name in fixed.items() if name is not None}
