"""MQTT 5 §4.7 word for word and level by level, to check the compiled templates against."""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic name matches a topic filter."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    return _levels_match(topic_filter.split("/"), topic.split("/"))


def _levels_match(wanted: list[str], given: list[str]) -> bool:
    if wanted == ["#"]:
        return True
    if not wanted or not given:
        return not wanted and not given
    if wanted[0] not in ("+", given[0]):
        return False
    # The multi-level wildcard includes the parent level.
    return wanted[1:] == ["#"] or _levels_match(wanted[1:], given[1:])
