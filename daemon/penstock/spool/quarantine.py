"""Where batches go that cannot be read any more: a folder beside the spool, a file a batch.

What always holds: a batch is in the folder, on disk, before it leaves the spool; setting the same
one aside again changes nothing. The files hold the raw bytes of the body, for whoever wants to
look; Penstock never reads them again and never deletes them.
"""

import os
from pathlib import Path

from penstock.spool.faults import judged
from penstock.spool.label import Record


def quarantine_folder(spool: Path) -> Path:
    """Where the unreadable batches of a spool are."""
    return spool.with_name(spool.name + ".quarantine")


def set_aside(spool: Path, record: Record) -> Path:
    """Write a record's body into the folder and return its file.

    Errors: `SpoolFault` when it could not be written; then nothing has changed.
    """
    folder = quarantine_folder(spool)
    file = folder / f"{record.number}.batch"
    draft = file.with_suffix(".draft")
    with judged():
        folder.mkdir(mode=0o700, exist_ok=True)
        with draft.open("wb") as stream:
            stream.write(record.body)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
        sync_folder(folder)
    return file


def sync_folder(folder: Path) -> None:
    """Make names that were made or changed in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
