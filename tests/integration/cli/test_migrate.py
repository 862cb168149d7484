import subprocess
from pathlib import Path

import pytest

from penstock.cli.exits import ExitCode
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.storage.migrations import shipped_migrations
from tests.support.command_line import HANG_SECONDS, PENSTOCK, penstock, write_config
from tests.support.publishing import rows_of

APPLIED = [f"applied {migration.name}" for migration in shipped_migrations()]


@pytest.fixture
def config(tmp_path: Path, database: str) -> Path:
    return write_config(tmp_path, storage={"dsn": database})


def test_it_applies_what_is_missing_and_then_finds_nothing_to_do(
    config: Path, database: str
) -> None:
    first = penstock("migrate", "--config", config)
    assert first == (ExitCode.OK, "".join(f"{line}\n" for line in APPLIED), "")
    assert rows_of(database, "select * from telemetry") == []

    second = penstock("migrate", "--config", config)
    assert second == (ExitCode.OK, "nothing to apply: the schema is up to date\n", "")


def test_several_at_once_apply_each_migration_once(config: Path) -> None:
    running = [
        subprocess.Popen(
            [*PENSTOCK, "migrate", "--config", str(config)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=HANG_SECONDS)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    printed = "".join(outputs).splitlines()
    assert sorted(line for line in printed if line.startswith("applied")) == APPLIED


def test_an_edited_migration_is_refused_by_name(config: Path, database: str) -> None:
    penstock("migrate", "--config", config)
    name = shipped_migrations()[0].name
    rows_of(
        database,
        f"update schema_migrations set checksum = 'edited' where name = '{name}' returning 1",
    )
    done = penstock("migrate", "--config", config)
    assert done.status == ExitCode.FATAL
    assert done.output == ""
    assert done.errors.startswith(f"penstock: migration {name} was edited")
    assert "Traceback" not in done.errors


def test_a_database_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    config = write_config(
        tmp_path, storage={"dsn": f"postgresql://postgres@{LOOPBACK}:{free_port()}/none"}
    )
    done = penstock("migrate", "--config", config)
    assert done.status == ExitCode.FATAL
    assert done.errors.startswith("penstock: the database cannot be reached")
    assert "storage.dsn" in done.errors
    assert "Traceback" not in done.errors
