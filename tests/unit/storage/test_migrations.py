from pathlib import Path

import pytest

from penstock.errors import FatalError
from penstock.storage.migrations import (
    Applied,
    Migration,
    pending_migrations,
    read_migrations,
    shipped_migrations,
)

FIRST = Migration(1, "0001_first.sql", "select 1")
SECOND = Migration(2, "0002_second.sql", "select 2")


def applied(*migrations: Migration) -> list[Applied]:
    return [Applied(*migration[:2], migration.checksum) for migration in migrations]


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("select 1")
    return folder


def test_this_version_ships_migrations() -> None:
    shipped = shipped_migrations()

    assert [migration.version for migration in shipped] == list(range(1, len(shipped) + 1))
    assert "create table if not exists readings" in shipped[0].sql


def test_migrations_are_read_in_order(tmp_path: Path) -> None:
    names = ["0001_first.sql", "0002_second.sql"]

    migrations = read_migrations(write(tmp_path, *reversed(names)))

    assert [migration.name for migration in migrations] == names


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["0002_second.sql"],
        ["0001_first.sql", "0003_third.sql"],
        ["0001_first.sql", "0001_also_first.sql"],
        ["1_first.sql"],
    ],
)
def test_migrations_that_are_not_numbered_without_a_gap_are_refused(
    tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(FatalError, match="migration"):
        read_migrations(write(tmp_path, *names))


def test_what_was_not_applied_is_pending() -> None:
    assert list(pending_migrations([FIRST, SECOND], applied(FIRST))) == [SECOND]
    assert list(pending_migrations([FIRST, SECOND], applied(FIRST, SECOND))) == []


def test_an_edited_migration_is_refused_by_name() -> None:
    edited = FIRST._replace(sql="select 11")

    with pytest.raises(FatalError, match=r"0001_first\.sql was edited.*new migration"):
        pending_migrations([edited, SECOND], applied(FIRST))


def test_a_database_newer_than_the_code_is_refused() -> None:
    with pytest.raises(FatalError, match=r"newer than this Penstock.*0002_second\.sql"):
        pending_migrations([FIRST], applied(FIRST, SECOND))


def test_a_history_that_is_not_ours_is_refused() -> None:
    with pytest.raises(FatalError, match="do not belong together"):
        pending_migrations([FIRST, SECOND], applied(SECOND))
