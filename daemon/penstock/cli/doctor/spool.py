"""How long the spool would bridge an outage, judged from its disk and the rate. Pure."""

from collections.abc import Iterator

import msgspec

from penstock.cli.doctor.amounts import in_bytes, in_time
from penstock.cli.doctor.daemon import DaemonFacts
from penstock.cli.doctor.disks import Disk
from penstock.cli.doctor.finding import Finding, note, ok, problem, warning
from penstock.settings.tree import Spool
from penstock.spool.reserve import MARGIN_BYTES, RESERVE_BYTES

READING_BYTES = 75.0
"""About what a reading takes in the spool, at worst: when no other of its series is in its batch
(docs/durability.md)."""
ASSUMED_RATE = 10_000
"""Readings a second, where the rate is not known."""
SHORT_SECONDS = 3_600.0
FILE_OVERHEAD = 1.05
"""How much larger the file is than the batches in it."""

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs"})


class SpoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The spool's place, looked at from outside: its file is never opened."""

    folder: str
    visible: bool
    """Whether this user may look at it."""
    exists: bool = False
    """Whether the folder does."""
    is_file: bool = True
    """Whether the path is free, or a file's."""
    writable: bool = False
    """For this user."""
    user: str
    """Who looks."""
    owner: str = ""
    """Whose the folder is."""
    file_owner: str | None = None
    """Whose the spool's file is; `None` when there is none yet."""
    file_bytes: int = 0
    """Of the file and its log."""
    reserve_bytes: int = 0
    """Of the disk, held ready by the daemon."""
    holder: int | None = None
    """The process that has the spool."""
    disk: Disk | None = None


def judge_spool(
    settings: Spool,
    facts: SpoolFacts | None,
    daemon: DaemonFacts | None,
    database_disk: Disk | None = None,
) -> Iterator[Finding]:
    """Everything about the spool; `facts` are absent where there is none."""
    if facts is None:
        yield note(
            "spool.path",
            "spool.path is null: in an outage of the database messages of QoS 1 wait at the "
            "broker, unacknowledged, and those of QoS 0 are lost.",
            "Set spool.path to a file on a local disk; docs/durability.md says what it trades.",
        )
        return
    if daemon is not None:
        yield from _state(daemon)
    yield _place(facts, daemon)
    if facts.disk is not None:
        yield _kind(facts.disk, database_disk)
        yield _room(settings, facts, facts.disk, daemon)
        yield _time(settings, facts, facts.disk, daemon)


def _state(daemon: DaemonFacts) -> Iterator[Finding]:
    check = "spool.state"
    if daemon.spool_state == "off":
        yield warning(
            check,
            f"The daemon at {daemon.url} runs without a spool, which this configuration has.",
            "Restart it, if it is the one of this configuration.",
        )
    elif daemon.spool_state != "usable":
        yield problem(
            check,
            f"The daemon says that its spool is {daemon.spool_state}.",
            "See its /health and its log for what to do.",
        )


def _place(facts: SpoolFacts, daemon: DaemonFacts | None) -> Finding:
    return _misplaced(facts) or _placed(facts, daemon)


def _misplaced(facts: SpoolFacts) -> Finding | None:
    check = "spool.place"
    if not facts.visible:
        return note(
            check,
            f"The user {facts.user} may not look at {facts.folder}, so the spool is not judged.",
            "Run this as root, or as the daemon's user.",
        )
    if not facts.exists:
        return problem(
            check,
            f"The folder {facts.folder} of the spool does not exist, so nothing is spooled.",
            "Make it, and let the daemon's user own it.",
        )
    if not facts.is_file:
        return problem(
            check,
            f"spool.path is a folder in {facts.folder}, so nothing is spooled.",
            "Name a file in it.",
        )
    if facts.file_owner not in (None, facts.owner):
        return problem(
            check,
            f"The spool's file belongs to {facts.file_owner} and its folder {facts.folder} to "
            f"{facts.owner}: the daemon may not be able to write both.",
            "Let the daemon's user own both.",
        )
    return None


def _placed(facts: SpoolFacts, daemon: DaemonFacts | None) -> Finding:
    check = "spool.place"
    holder = _holder(facts, daemon)
    if holder:
        return ok(check, f"The spool in {facts.folder} is in use by {holder}.")
    if not facts.writable:
        return warning(
            check,
            f"The folder {facts.folder} belongs to {facts.owner}, the user {facts.user} may not "
            "write to it, and no daemon has it.",
            f"Let the daemon's user own it, unless that is {facts.owner}.",
        )
    return ok(
        check,
        f"The spool's folder {facts.folder} belongs to {facts.owner} and can be written by "
        f"{facts.user}; no daemon has it.",
    )


def _holder(facts: SpoolFacts, daemon: DaemonFacts | None) -> str:
    """Who has the spool; a daemon in another container is not seen but by its answer."""
    if facts.holder is not None:
        return f"process {facts.holder}"
    if daemon is not None and daemon.spool_state != "off":
        return f"the daemon at {daemon.url}"
    return ""


def _kind(disk: Disk, database_disk: Disk | None) -> Finding:
    check = "spool.disk"
    if disk.kind in _IN_MEMORY:
        return problem(
            check,
            f"{disk.path} is a {disk.kind}, which is memory: what was acknowledged out of it is "
            "gone when the machine restarts.",
            "Set spool.path to a file on a local disk.",
        )
    if disk.kind in _REMOTE:
        return warning(
            check,
            f"{disk.path} is on {disk.kind}, over a network: its locks and fsync may not hold what "
            "they promise, and it fails when the network does.",
            "Set spool.path to a file on a local disk.",
        )
    text = f"{disk.path} is on {disk.kind or 'a disk'}"
    if database_disk is not None and database_disk.device == disk.device:
        return note(
            check,
            f"{text}, the same as the database: what fills it stops both.",
            "Put the spool on another disk.",
        )
    return ok(check, f"{text}.")


def _room(settings: Spool, facts: SpoolFacts, disk: Disk, daemon: DaemonFacts | None) -> Finding:
    """Whether the disk has what the quota promises."""
    check = "spool.room"
    quota = in_bytes(settings.max_bytes)
    text = f"{in_bytes(disk.free_bytes)} are free on the disk of the spool; its quota is {quota}"
    reserve = RESERVE_BYTES + MARGIN_BYTES - facts.reserve_bytes
    if disk.free_bytes < reserve:
        return problem(
            check,
            f"{text}: it takes no batches with less than {in_bytes(reserve)} free.",
            "Free space on it, or enlarge it.",
        )
    missing = _quota_left(settings, facts, daemon) * FILE_OVERHEAD + reserve - disk.free_bytes
    if missing > 0:
        return warning(
            check,
            f"{text} (spool.max_bytes): {in_bytes(missing)} too little, so the disk is full before "
            "the spool is.",
            "Free that much, enlarge the disk, or lower spool.max_bytes.",
        )
    return ok(check, f"{text}.")


def _time(settings: Spool, facts: SpoolFacts, disk: Disk, daemon: DaemonFacts | None) -> Finding:
    """How long an outage may last before the spool is full."""
    check = "spool.time"
    room_bytes = min(_quota_left(settings, facts, daemon), disk.free_bytes / FILE_OVERHEAD)
    assumed = _seconds(room_bytes, ASSUMED_RATE, READING_BYTES)
    fallback = f"at {ASSUMED_RATE:,} readings/s it would last for {in_time(assumed)}"
    if daemon is None:
        return note(check, f"No daemon answers, so the rate is not known; {fallback}.")
    rate = daemon.received_per_second
    if rate == 0:
        return note(check, f"Nothing arrives at present; {fallback}.")
    reading_bytes = daemon.spool_bytes / daemon.spool_rows if daemon.spool_rows else READING_BYTES
    lasts = _seconds(room_bytes, rate, reading_bytes)
    text = (
        f"At the present {rate:,.0f} readings/s of about {reading_bytes:.0f} bytes the spool has "
        f"room for {lasts / 60:,.0f} minutes ({in_bytes(room_bytes)})."
    )
    if lasts < SHORT_SECONDS:
        return warning(
            check, text, "Raise spool.max_bytes, or enlarge its disk, to bridge a longer outage."
        )
    return ok(check, text)


def _quota_left(settings: Spool, facts: SpoolFacts, daemon: DaemonFacts | None) -> float:
    used = facts.file_bytes if daemon is None else daemon.spool_bytes
    return max(0, settings.max_bytes - used)


def _seconds(room_bytes: float, rate: float, reading_bytes: float) -> float:
    return room_bytes / (rate * reading_bytes)
