"""Which MQTT topic filters take in which others (MQTT 5 §4.7).

Filters here never begin with `$`, so "every topic" means every topic that does not begin with `$`.
"""

from collections.abc import Iterable


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that matches the filter `narrow` also matches `wide`."""
    if wide == "+/#":
        return True  # `#` matches its parent level too (§4.7.1.2), so this is all topics, like `#`
    ours, theirs = wide.split("/"), narrow.split("/")
    for position, level in enumerate(ours):
        if level == "#":
            return True
        if position == len(theirs) or theirs[position] == "#":
            return False
        if level not in ("+", theirs[position]):
            return False
    return len(ours) == len(theirs)


def widest(filters: Iterable[str]) -> list[str]:
    """Drop each filter that another one covers, keeping the order.

    A broker may send a message once for each subscription that matches it (MQTT 5 §3.3.4), and
    mosquitto does; a reading without its own timestamp would then be stored as often.
    """
    kept: list[str] = []
    for candidate in filters:
        if not any(covers(other, candidate) for other in kept):
            kept = [other for other in kept if not covers(candidate, other)]
            kept.append(candidate)
    return kept
