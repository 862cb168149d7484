"""What the database would cost, judged from what it said. Pure."""

from collections.abc import Iterator

import msgspec

from penstock.cli.doctor.amounts import counted, in_bytes, in_time
from penstock.cli.doctor.disks import Disk
from penstock.cli.doctor.finding import Finding, note, ok, problem, warning
from penstock.cli.doctor.schema import (
    Extension,
    Schema,
    judge_extension,
    judge_privileges,
    judge_schema,
)
from penstock.settings.tree import Settings

OLDEST_POSTGRESQL = 150_000
CLOCK_NOTICEABLE_SECONDS = 1.0
FEW_CONNECTIONS = 5
LITTLE_DISK_BYTES = 1_000_000_000
LITTLE_DISK_SHARE = 0.1


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server and what this role may open there; -1 is no limit."""

    server_version: str
    server_version_number: int
    is_standby: bool
    is_read_only: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    """As sessions begin with it."""
    data_directory: str | None
    """`None` where the role may not know."""
    is_same_machine: bool
    backend_pid: int
    max_connections: int
    reserved_connections: int
    role_limit: int
    database_limit: int
    used: int
    used_by_role: int
    used_in_database: int
    used_by_penstock: int


class ClockOffset(msgspec.Struct, frozen=True):
    """How far the database's clock is ahead of this machine's."""

    seconds: float
    uncertainty_seconds: float


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was learnt of the database."""

    place: str
    failure: str = ""
    """Why it could not be asked; then the rest is unknown."""
    server: Server | None = None
    extension: Extension | None = None
    schema: Schema | None = None
    clock: ClockOffset | None = None
    pooled: bool = False
    """Something stands between us and the server that keeps its sessions."""
    disk: Disk | None = None
    """Of its data directory, where that is known and on this machine."""


def judge_database(settings: Settings, facts: DatabaseFacts) -> Iterator[Finding]:
    """Everything about the database, the connection first."""
    if facts.server is not None:
        yield _version(facts.place, facts.server)
        yield from _durability(facts.server)
        yield _connections(settings, facts.server)
    if facts.pooled:
        yield _pooler()
    if facts.extension is not None:
        yield judge_extension(settings, facts.extension)
    if facts.schema is not None:
        yield judge_schema(settings, facts.schema)
        yield judge_privileges(facts.schema)
    if facts.clock is not None:
        yield _clock(settings, facts.clock)
    if facts.failure:
        yield problem(
            "database.connection",
            f"The database at {facts.place} cannot be asked: {facts.failure}.",
            "Mend it, or check storage.dsn; the daemon waits for it meanwhile, and tries again.",
        )
    else:
        yield _disk(facts.disk)


def connections_needed(settings: Settings) -> int:
    """The most that a daemon opens at once.

    One for each writer, one each for the sign of life, the newest values, the spool's replayer and
    the registered devices.
    """
    spool, devices = settings.spool.path is not None, not settings.registry.auto_register
    return settings.storage.writers + 2 + spool + devices


def _version(place: str, server: Server) -> Finding:
    check = "database.connection"
    said = f"PostgreSQL {server.server_version} answers at {place}"
    if server.is_standby or server.is_read_only:
        why = "it is a standby" if server.is_standby else "default_transaction_read_only is on"
        return problem(
            check, f"{said}, but is read-only: {why}.", "Point storage.dsn at a server that writes."
        )
    if server.server_version_number < OLDEST_POSTGRESQL:
        return warning(check, f"{said}; Penstock is tested with 15 and newer.", "Upgrade it.")
    return ok(check, f"{said}.")


def _durability(server: Server) -> Iterator[Finding]:
    check = "database.durability"
    if not server.fsync:
        yield problem(
            check,
            "fsync is off: a power cut loses what was committed, and may damage the server.",
            "Set fsync = on.",
        )
    elif not server.full_page_writes:
        yield problem(
            check,
            "full_page_writes is off: a power cut may damage tables, where the file system does "
            "not write pages whole.",
            "Set full_page_writes = on, unless the file system is ZFS or the like.",
        )
    elif server.synchronous_commit == "off":
        yield note(
            check,
            "synchronous_commit is off by default here; Penstock sets it on for its own commits.",
        )
    else:
        yield ok(
            check,
            f"fsync is on and synchronous_commit is {server.synchronous_commit}: a commit lasts.",
        )


def _connections(settings: Settings, server: Server) -> Finding:
    check = "database.connections"
    free, limit = min(_free_connections(server))
    needed = connections_needed(settings)
    further = max(0, needed - server.used_by_penstock)
    text = (
        f"{counted(max(0, free), 'connection')} free ({limit}); a daemon opens up to {needed}, and "
        f"Penstock has {server.used_by_penstock} open now."
    )
    if free < further:
        return problem(check, text, "Raise that limit, or lower storage.writers.")
    if free < further + FEW_CONNECTIONS:
        return warning(check, text, "Raise that limit: others may take what is left.")
    return ok(check, text)


def _free_connections(server: Server) -> Iterator[tuple[int, str]]:
    general = server.max_connections - server.reserved_connections
    yield general - server.used, f"max_connections {server.max_connections}"
    if server.role_limit >= 0:
        yield server.role_limit - server.used_by_role, f"the role's limit {server.role_limit}"
    if server.database_limit >= 0:
        limit = server.database_limit
        yield limit - server.used_in_database, f"the database's limit {limit}"


def _pooler() -> Finding:
    return note(
        "database.pooler",
        "A connection pooler such as pgbouncer stands in front of the server: the session's "
        "process is another than the one that was announced.",
        "Let it have as many server connections as a daemon opens; docs/pgbouncer.md says how it "
        "has to be set.",
    )


def _clock(settings: Settings, clock: ClockOffset) -> Finding:
    """Judge the difference by what this machine's clock is used for: time, and its bounds."""
    check = "database.clock"
    apart = abs(clock.seconds)
    direction = "behind" if clock.seconds > 0 else "ahead of"
    text = (
        f"This machine's clock is {apart:,.3f} s {direction} the database's "
        f"(± {clock.uncertainty_seconds:.3f} s)"
    )
    if apart - clock.uncertainty_seconds < CLOCK_NOTICEABLE_SECONDS:
        return ok(check, f"{text}.")
    cost = "readings without a time of their own are stamped by that much wrong"
    advice = "Synchronise both clocks (chrony, systemd-timesyncd)."
    bound, name = _time_bound(settings, is_behind=clock.seconds > 0)
    if apart >= bound:
        return problem(
            check,
            f"{text}: {cost}, and if it is this one that is wrong, readings with the right time "
            f"become dead letters ({name} is {in_time(bound)}).",
            advice,
        )
    return warning(check, f"{text}: {cost}.", advice)


def _time_bound(settings: Settings, *, is_behind: bool) -> tuple[float, str]:
    """The bound on time stamps that a wrong clock here would meet first."""
    if is_behind:
        return min(route.time.future_seconds for route in settings.routes), "time.future_seconds"
    return min(route.time.past_seconds for route in settings.routes), "time.past_seconds"


def _disk(disk: Disk | None) -> Finding:
    check = "database.disk"
    if disk is None:
        return note(
            check,
            "How much disk the database has left cannot be known from here: PostgreSQL does not "
            "tell, and its data directory is on another machine or hidden.",
            "Watch it on its own machine: when it is full, nothing is stored.",
        )
    text = (
        f"The disk of the database ({disk.path}) has {in_bytes(disk.free_bytes)} free of "
        f"{in_bytes(disk.total_bytes)}."
    )
    advice = "Free space on it, or enlarge it: when it is full, nothing is stored."
    if disk.free_bytes < LITTLE_DISK_BYTES:
        return problem(check, text, advice)
    if disk.free_bytes < LITTLE_DISK_SHARE * disk.total_bytes:
        return warning(check, text, advice)
    return ok(check, text)
