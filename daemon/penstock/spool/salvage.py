"""Saves what can be read of a damaged spool into a new one.

What always holds: the damaged file and its log are moved aside under a name with the time, never
deleted; a batch is saved only with a label that fits; and a crash at any point leaves either the
damaged file in its place, to be salvaged again, or a new one that is whole, to be put there.

All of the file is read, and what is in it written, so it takes as long as the disk takes for that,
and as much room besides. Nobody waits for it: the daemon goes on as without a spool.
"""

import shutil
from pathlib import Path

import msgspec
import structlog

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool.carve import carve
from penstock.spool.codec import decode_body, relabelled
from penstock.spool.database import foreign
from penstock.spool.faults import SpoolFault, judged
from penstock.spool.file import SpoolFile
from penstock.spool.label import Record, Unreadable, decode_label, is_intact
from penstock.spool.log import log_of
from penstock.spool.mark import Mark
from penstock.spool.quarantine import sync_folder

log = structlog.get_logger(__name__)

GROUP_BYTES = 16 * 1024 * 1024


class Salvaged(msgspec.Struct, frozen=True):
    """What came of a damaged spool."""

    aside: Path
    """Where the damaged file is now."""
    batches: int
    """Saved into the new one, those included whose contents are damaged."""


def salvage(spool: Path, logged: bytes, mark: Mark | None, moment: str) -> Salvaged:
    """Save what can be read of a spool, which nobody may have open.

    `logged` is its log; what is older than the `mark` had been removed. `moment` becomes part of
    the name that the damaged file is moved to.
    Errors: `SpoolFault`, of the kind `foreign` when nothing in it is ours; the damaged file is
    still in its place then.
    """
    with judged():
        size_bytes = spool.stat().st_size + len(logged)
    log.warning("spool_salvage_begins", path=str(spool), bytes=size_bytes)
    _check_room(spool, size_bytes)
    draft = _draft(spool)
    with judged():
        _remove(draft)
    target = SpoolFile(draft)
    try:
        copy = _Copy(target, mark.oldest_number if mark else None)
        for record in carve(spool, logged):
            copy.take(record)
        copy.finish()
        target.close()
    except BaseException:
        target.abandon()
        raise
    if mark is None and not target.standing.batches:
        with judged():
            _remove(draft)
        raise foreign(spool)
    with judged():
        draft.replace(_saved(spool))
        sync_folder(spool.parent)
    return Salvaged(_put_in_place(spool, moment), target.standing.batches)


def finish_salvage(spool: Path, moment: str) -> None:
    """Put a new file in its place where a crash came in between, and forget an unfinished one."""
    with judged():
        _remove(_draft(spool))
    if _saved(spool).exists():
        _put_in_place(spool, moment)


class _Copy:
    """Takes records in any order and any number of times, and keeps the best of each."""

    def __init__(self, target: SpoolFile, oldest_number: int | None) -> None:
        self._target = target
        self._oldest_number = oldest_number
        self._group: dict[int, Record] = {}
        self._group_bytes = 0

    def take(self, record: Record) -> None:
        if self._oldest_number is not None and record.number < self._oldest_number:
            return
        labelled = _labelled(record)
        if labelled is None:
            return
        had = self._group.get(record.number) or self._target.get(record.number)
        if had is not None and (is_intact(had) or not is_intact(labelled)):
            return
        self._group[record.number] = labelled
        self._group_bytes += labelled.size_bytes
        if self._group_bytes >= GROUP_BYTES:
            self.finish()

    def finish(self) -> None:
        self._target.write(list(self._group.values()), list(self._group))
        self._group = {}
        self._group_bytes = 0


def _labelled(record: Record) -> Record | None:
    """The record with a label that fits, or nothing when it cannot even be accounted for."""
    try:
        decode_label(record.number, record.label)
    except Unreadable:
        try:
            contents = decode_body(record.number, record.body)
        except Unreadable:
            return None
        return relabelled(record, contents)
    return record


def _check_room(spool: Path, needed_bytes: int) -> None:
    with judged():
        free_bytes = shutil.disk_usage(spool.parent).free
    if free_bytes < needed_bytes:
        raise SpoolFault(
            SpoolFaultKind.DISK_FULL,
            f"the spool is damaged, and to save what can be read of it needs {needed_bytes} bytes"
            f" on its disk, of which {free_bytes} are free; free space on it, or enlarge it",
        )


def _put_in_place(spool: Path, moment: str) -> Path:
    """Move the damaged file aside, and the new one where it was; returns where the former is."""
    aside = spool.with_name(f"{spool.name}.damaged-{moment}")
    with judged():
        # The log goes first: SQLite would take it for that of the new file.
        for damaged, name in ((log_of(spool), log_of(aside)), (spool, aside)):
            if damaged.exists():
                damaged.replace(name)
                sync_folder(spool.parent)
        _saved(spool).replace(spool)
        sync_folder(spool.parent)
    return aside


def _draft(spool: Path) -> Path:
    return spool.with_name(f"{spool.name}.salvage")


def _saved(spool: Path) -> Path:
    """What the draft is called when it is whole."""
    return spool.with_name(f"{spool.name}.salvaged")


def _remove(draft: Path) -> None:
    for file in (draft, log_of(draft), draft.with_name(f"{draft.name}-journal")):
        file.unlink(missing_ok=True)
