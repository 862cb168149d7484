"""Topic templates: compiled to a filter to subscribe with and a pattern that takes names out.

A template is a topic filter in which whole levels may be `{tenant}`, `{device}` or `{metric}`. `+`
is a level that is ignored, and a final `#` is any number of ignored levels, none included. Topics
that begin with `$` are the broker's own and match no template (MQTT 5 §4.7.2).
"""

import re
from typing import NamedTuple

from penstock.topics.names import quote

PLACEHOLDERS = ("tenant", "device", "metric")

_KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)

_SIGNS = {
    "{": "a placeholder has to be a whole level",
    "}": "a placeholder has to be a whole level",
    "#": "'#' has to be the whole last level",
    "+": "'+' has to be a whole level",
}
"""What a level means to say that holds one of these among other characters."""

_MAX_FILTER_BYTES = 65_535
"""Longest string of the protocol (MQTT 5 §4.7.3)."""


class Template(NamedTuple):
    """A compiled template; filter and pattern match the same topics."""

    filter: str
    pattern: re.Pattern[str]
    """Its groups are the placeholders."""


def compile_template(template: str) -> Template:
    """Compile a template in which `template_faults` finds nothing."""
    levels = template.split("/")
    rest = ""
    if levels[-1] == "#":
        levels.pop()
        rest = "(?:/.*)?" if levels else ".*"
    pattern = "/".join(_level_pattern(level) for level in levels)
    return Template(
        filter=re.sub(r"\{\w+\}", "+", template),
        pattern=re.compile(rf"(?!\$){pattern}{rest}", re.DOTALL),
    )


def placeholders(template: str) -> list[str]:
    """The names of the placeholders, known or not, in order and as often as they occur."""
    return [level[1:-1] for level in template.split("/") if _is_placeholder(level)]


def template_faults(template: str) -> list[str]:
    """Everything that is wrong with a template as such; an empty list when it compiles."""
    levels = template.split("/")
    names = placeholders(template)
    faults = [f"the placeholder {{{name}}} occurs twice" for name in names if names.count(name) > 1]
    for position, level in enumerate(levels):
        fault = _level_fault(level, first=position == 0, last=position == len(levels) - 1)
        if fault is not None:
            faults.append(fault)
    if not template.isprintable() or "\ufffd" in template:
        faults.append(f"{quote(template)} holds a character that is not printable")
    if len(template.encode(errors="replace")) > _MAX_FILTER_BYTES:
        faults.append(f"longer than MQTT's {_MAX_FILTER_BYTES} bytes")
    return list(dict.fromkeys(faults))


def _level_fault(level: str, *, first: bool, last: bool) -> str | None:
    if _is_placeholder(level):
        known = level[1:-1] in PLACEHOLDERS
        return None if known else f"unknown placeholder {quote(level)}; known are {_KNOWN}"
    if level == "+" or (level == "#" and last):
        return None
    if not level:
        # A leading slash is common in the field; elsewhere an empty level is a slip of the pen.
        return None if first and not last else "a level is empty (a trailing or double slash)"
    if first and level.startswith("$"):
        return (
            f"{quote(level)}: topics that begin with '$' are the broker's own"
            " (for shared subscriptions set mqtt.share_group)"
        )
    faults = (f"{quote(level)}: {fault}" for sign, fault in _SIGNS.items() if sign in level)
    return next(faults, None)


def _is_placeholder(level: str) -> bool:
    return re.fullmatch(r"\{\w*\}", level) is not None


def _level_pattern(level: str) -> str:
    if _is_placeholder(level):
        return f"(?P<{level[1:-1]}>[^/]*)"
    return "[^/]*" if level == "+" else re.escape(level)
