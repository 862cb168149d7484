"""The migrations that come with this version, and how they compare with what a database has had.

Nothing here talks to a database.
"""

import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from penstock.errors import FatalError

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(NamedTuple):
    """One numbered file."""

    version: int
    name: str
    """The file's name."""
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Applied(NamedTuple):
    """What a database remembers of a migration."""

    version: int
    name: str
    checksum: str


def shipped_migrations() -> list[Migration]:
    """Those of this version: from the installed package, else from the repository it runs in."""
    packaged = files("penstock") / "migrations"
    if packaged.is_dir():
        return read_migrations(packaged)
    return read_migrations(Path(__file__).parents[3] / "migrations")


def read_migrations(folder: Traversable) -> list[Migration]:
    """The migrations in a folder, in order; `FatalError` unless numbered without a gap."""
    migrations = sorted(_read(file) for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [migration.version for migration in migrations]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise FatalError(f"the migrations in {folder} are not numbered 0001, 0002, …: {numbers}")
    return migrations


def pending_migrations(
    shipped: Sequence[Migration], applied: Sequence[Applied]
) -> Sequence[Migration]:
    """What a database still needs.

    Errors: `FatalError` when it is newer than this version, or its history is not ours.
    """
    if len(applied) > len(shipped):
        raise FatalError(
            f"the database is newer than this Penstock: it has migration {applied[-1].name}, and "
            f"this version ends with {shipped[-1].name}. Run the version that made it, or later."
        )
    for ours, theirs in zip(shipped, applied, strict=False):
        _check_unchanged(ours, theirs)
    return shipped[len(applied) :]


def _read(file: Traversable) -> Migration:
    match = _FILE_NAME.fullmatch(file.name)
    if match is None:
        raise FatalError(f"migration {file.name} is not named like 0001_what_it_does.sql")
    return Migration(int(match[1]), file.name, file.read_text(encoding="utf-8"))


def _check_unchanged(ours: Migration, theirs: Applied) -> None:
    if ours.version != theirs.version:
        raise FatalError(
            f"the database has had migration {theirs.name} where this Penstock has {ours.name}: "
            "they do not belong together."
        )
    if ours.checksum != theirs.checksum:
        raise FatalError(
            f"migration {ours.name} was edited after the database had it. Put the file back as it "
            "was released, and write the change as a new migration."
        )
