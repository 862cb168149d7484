"""How the daemon's process stands, judged from what it, or this process, knows. Pure."""

from collections.abc import Iterator

import msgspec

from penstock.cli.doctor.database import connections_needed
from penstock.cli.doctor.finding import Finding, note, ok, problem, warning
from penstock.settings.tree import Settings

FILES_BESIDES = 100
"""Libraries, logs, the spool's files, the broker, and some dozens of scrapes and probes."""


class DaemonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a running daemon says of itself."""

    url: str
    healthy: bool
    reasons: tuple[str, ...]
    received_per_second: float
    """Readings, over the last ten seconds."""
    spool_state: str
    spool_rows: int
    spool_bytes: int
    max_files: int | None
    """The limit of its file descriptors (RLIMIT_NOFILE)."""
    open_files: int | None


def judge_daemon(
    settings: Settings, facts: DaemonFacts | None, own_max_files: int
) -> Iterator[Finding]:
    """The daemon's health and its limit of files; `own_max_files` is this process's."""
    yield _health(settings.http.listen, facts)
    yield _files(connections_needed(settings) + FILES_BESIDES, facts, own_max_files)


def _health(listen: str | None, facts: DaemonFacts | None) -> Finding:
    check = "daemon.health"
    if listen is None:
        return note(check, "http.listen is null, so whether a daemon runs was not asked.")
    if facts is None:
        return note(check, f"No daemon answers at {listen} (http.listen): none runs, or elsewhere.")
    if facts.healthy:
        rate = f"{facts.received_per_second:,.0f} readings/s arrive"
        return ok(check, f"The daemon at {facts.url} is healthy; {rate}.")
    return warning(
        check,
        f"The daemon at {facts.url} is not well: {'; '.join(facts.reasons)}.",
        "The other findings may say why; its log does.",
    )


def _files(needed: int, facts: DaemonFacts | None, own_max_files: int) -> Finding:
    check = "daemon.files"
    if facts is not None and facts.max_files is not None:
        limit, whose = facts.max_files, f"The daemon may open {facts.max_files:,} files"
        if facts.open_files is not None:
            whose += f" and has {facts.open_files:,} open"
    else:
        limit = own_max_files
        whose = f"From this shell a daemon may open {limit:,} files (systemd's unit sets 65,536)"
    text = f"{whose}; it needs up to {needed}."
    if limit < needed:
        return problem(
            check,
            text,
            "Raise LimitNOFILE= in the unit, or ulimit -n: without a descriptor it can "
            "neither connect nor spool.",
        )
    return ok(check, text)
